import { describe, expect, test } from 'vitest'
import { alice, bob, edit, erase, promote, say, sendOf, type TwoStores } from '../../testing/two-stores.ts'
import { expectBelongings, expectOneOrder, headOf, numbersTo, rowsOf } from '../../testing/two-stores-reading.ts'
import type { MessageRow } from '../rows.ts'
import { hashOf, type Send, type SendOutcome } from '../send.ts'

/** Idempotency: a key names one message of its author in one channel, on all processes. */
export function describeIdempotency(stores: TwoStores): void {
  const { here, there, outside, newChannel, open } = stores
  const tell = (outcome: SendOutcome | 'moved') => (outcome === 'moved' ? outcome : outcome.outcome)
  const count = (outcomes: readonly (SendOutcome | 'moved')[], what: string) => outcomes.filter((each) => tell(each) === what).length
  const saying = (send: Send, content: string): Send => ({ ...send, content, bodyHash: hashOf(content) })

  describe('idempotency', () => {
    test('the same send, many times at once on both, is stored once, and all are given the same message', async () => {
      for (let round = 0; round < 10; round++) {
        const channelId = await newChannel()
        const send = sendOf(alice, 'once', { mentionIds: [bob] })
        const outcomes = await Promise.all(
          [here, there, here, there, here, there, here].map(({ store }) => store.send(channelId, 0, send)),
        )
        expect([count(outcomes, 'sent'), count(outcomes, 'repeated')]).toEqual([1, 6])
        const [message, ...others] = await expectOneOrder([here, there], channelId)
        expect(others).toEqual([])
        for (const outcome of outcomes) expect(outcome).toMatchObject({ message })
        expect(await headOf(here, channelId)).toMatchObject({ seq: 1, change: 1 })
      }
    })

    test('many keys, each twice on each process, and among each other: no hole, nothing burnt, nothing lost', async () => {
      const channelId = await newChannel()
      const sends = numbersTo(100).map((nth) => sendOf(nth % 2 === 0 ? alice : bob, `${nth}`))
      const outcomes = await Promise.all(
        [sends, sends.toReversed(), sends, sends.toReversed()].flatMap((some, nth) =>
          some.map((send) => [here, there][nth >> 1]!.store.send(channelId, 0, send)),
        ),
      )
      expect([count(outcomes, 'sent'), count(outcomes, 'repeated')]).toEqual([100, 300])
      const messages = await expectOneOrder([here, there], channelId)
      expect(messages.map(({ content }) => content).toSorted()).toEqual(sends.map(({ content }) => content).toSorted())
      await expectBelongings(outside, channelId, messages)
      const created = [here, there].flatMap(({ announced }) => announced).filter((change) => change.channelId === channelId)
      expect(created).toHaveLength(100)
    })

    test('the same key with another body is a conflict, and what it said first stands', async () => {
      const channelId = await newChannel()
      const send = sendOf(alice, 'first')
      await here.store.send(channelId, 0, send)
      const before = await rowsOf(outside, channelId)
      for (const { store } of [here, there]) {
        expect(await store.send(channelId, 0, saying(send, 'second'))).toEqual({ outcome: 'conflict' })
      }
      expect(await rowsOf(outside, channelId)).toEqual(before)
    })

    test('of two bodies that come with one key at once one stands, and the other is a conflict for all who bring it', async () => {
      for (let round = 0; round < 10; round++) {
        const channelId = await newChannel()
        const send = sendOf(alice, 'one')
        const other = saying(send, 'other')
        const all = [here, there, here, there].flatMap(({ store }) => [
          store.send(channelId, 0, send).then((outcome) => ['one', outcome] as const),
          store.send(channelId, 0, other).then((outcome) => ['other', outcome] as const),
        ])
        const outcomes = await Promise.all(all)
        const [message] = await expectOneOrder([here, there], channelId)
        for (const [content, outcome] of outcomes) {
          if (content === message!.content) expect(outcome).toMatchObject({ message })
          else expect(outcome).toEqual({ outcome: 'conflict' })
        }
        expect(outcomes.filter(([, outcome]) => tell(outcome) === 'sent')).toHaveLength(1)
      }
    })

    test('the same key of another author, and in another channel, is another message', async () => {
      const [channelId, other] = [await newChannel(), await newChannel()]
      const send = sendOf(alice, 'hello')
      const outcomes = await Promise.all([
        here.store.send(channelId, 0, send),
        here.store.send(channelId, 0, { ...send, authorId: bob }),
        there.store.send(other, 0, send),
      ])
      expect(outcomes.map(tell)).toEqual(['sent', 'sent', 'sent'])
      expect(await expectOneOrder([here], channelId)).toHaveLength(2)
      expect(await expectOneOrder([here], other)).toHaveLength(1)
    })

    test('an author and a key are not to be taken for another author and another key', async () => {
      const channelId = await newChannel()
      const keys = [['1', '1 x'], ['11', ' x'], ['1', ' 1 x'], ['11', 'x'], ['1', '']] as const
      for (const [authorId, key] of keys) {
        expect(tell(await here.store.send(channelId, 0, sendOf(authorId, 'same', { key })))).toBe('sent')
      }
    })

    test('sent again it is given as it is by now: edited, answered, deleted', async () => {
      const channelId = await newChannel()
      const send = sendOf(alice, 'at first')
      const outcome = await here.store.send(channelId, 0, send)
      const { message } = outcome as { message: MessageRow }
      await edit(there, message, 'edited')
      await say(there, channelId, bob, 'answer', { root: message })
      expect(await here.store.send(channelId, 0, send)).toMatchObject({
        outcome: 'repeated', message: { id: message.id, seq: 1, content: 'edited', replyCount: 1, version: 4 },
      })
      await erase(there, message)
      expect(await here.store.send(channelId, 0, send)).toMatchObject({
        outcome: 'repeated', message: { id: message.id, content: '', deletedAt: expect.any(Date) },
      })
      expect(await headOf(here, channelId)).toMatchObject({ seq: 2, change: 5 })
    })

    test('a key holds long after: when much else was said, on a process that began later, under other rights', async () => {
      const channelId = await newChannel()
      const first = await open()
      const send = sendOf(alice, 'long ago')
      await first.store.send(channelId, 0, send)
      await first.close()
      for (let round = 0; round < 3; round++) await Promise.all(numbersTo(100).map((nth) => say(there, channelId, bob, `${nth}`)))
      await promote(there, channelId, bob)
      const later = await open()
      expect(tell(await later.store.send(channelId, 0, send))).toBe('moved')
      expect(await later.store.send(channelId, 1, send)).toMatchObject({ outcome: 'repeated', message: { seq: 1 } })
      expect(await later.store.send(channelId, 1, saying(send, 'not long ago'))).toEqual({ outcome: 'conflict' })
      await later.close()
    })

    test('what is new beside what is repeated gets the next numbers', async () => {
      const channelId = await newChannel()
      const sends = numbersTo(20).map((nth) => sendOf(alice, `${nth}`))
      await Promise.all(sends.slice(0, 10).map((send) => here.store.send(channelId, 0, send)))
      const outcomes = await Promise.all(sends.map((send) => there.store.send(channelId, 0, send)))
      expect(outcomes.map(tell)).toEqual(sends.map((_, nth) => (nth < 10 ? 'repeated' : 'sent')))
      const messages = await expectOneOrder([here, there], channelId)
      expect(messages.map(({ content }) => content).toSorted()).toEqual(sends.map(({ content }) => content).toSorted())
    })
  })
}
