import { describe, expect, test } from 'vitest'
import { alice, announceName, bob, carol, promote, say, sendOf, type TwoStores } from '../../testing/two-stores.ts'
import { expectOneOrder, headOf, numbersTo, rowsOf } from '../../testing/two-stores-reading.ts'
import type { SendOutcome } from '../send.ts'

/** Permission: nothing is sent under rights that have moved, and changes are decided upon while nobody else changes. */
export function describePermission(stores: TwoStores): void {
  const { here, there, outside, newChannel } = stores
  const tell = (outcome: SendOutcome | 'moved') => (outcome === 'moved' ? outcome : outcome.outcome)

  describe('permission', () => {
    test('a send under rights that have moved is not stored, and nothing of it is', async () => {
      const channelId = await newChannel()
      const root = await say(here, channelId, alice, 'root')
      await promote(there, channelId, bob)
      expect(await headOf(here, channelId)).toMatchObject({ membershipVersion: 1 })
      const before = await rowsOf(outside, channelId)
      const send = sendOf(bob, 'late', { root, mentionIds: [alice] })
      expect(await here.store.send(channelId, 0, send)).toBe('moved')
      expect(await here.store.send(channelId, 2, send)).toBe('moved')
      expect(await rowsOf(outside, channelId)).toEqual(before)
      expect(tell(await here.store.send(channelId, 1, send))).toBe('sent')
    })

    test('what does not touch anybody’s rights moves nothing', async () => {
      const channelId = await newChannel()
      await announceName(there, channelId, 'cake')
      await there.store.change(channelId, (channel) => channel.admit('4', 'MEMBER'))
      expect(tell(await here.store.send(channelId, 0, sendOf(alice, 'still')))).toBe('sent')
    })

    test('of sends that meet under different rights those are stored whose rights stand', async () => {
      const channelId = await newChannel()
      await promote(there, channelId, bob)
      const outcomes = await Promise.all(
        [1, 1, 0, 1, 2, 1, 0].map((version, nth) => here.store.send(channelId, version, sendOf(alice, `${nth}`))),
      )
      expect(outcomes.map(tell)).toEqual(['sent', 'sent', 'moved', 'sent', 'moved', 'sent', 'moved'])
      const messages = await expectOneOrder([here, there], channelId)
      expect(messages.map(({ content }) => content)).toEqual(['0', '1', '3', '5'])
    })

    test('who is put out while they write has sent nothing after it', async () => {
      const channelId = await newChannel()
      for (let round = 0; round < 15; round++) {
        const { membershipVersion } = await headOf(here, channelId)
        const sends = [here, there].flatMap(({ store }) =>
          numbersTo(4).map((nth) => store.send(channelId, membershipVersion, sendOf(bob, `${nth}`))),
        )
        const dismissal = (round % 2 === 0 ? here : there).store.change(channelId, async (channel) => {
          await channel.dismiss(bob)
          return channel.append('MEMBER_LEFT', bob, '')
        })
        const late = there.store.send(channelId, membershipVersion, sendOf(bob, 'late'))
        const { result } = (await dismissal)!
        for (const outcome of await Promise.all([...sends, late])) {
          if (outcome === 'moved') continue
          if (outcome.outcome !== 'sent') throw new Error('Not sent')
          expect(outcome.message.seq).toBeLessThan(result.seq)
        }
        expect(await here.store.send(channelId, membershipVersion, sendOf(bob, 'much later'))).toBe('moved')
        await here.store.change(channelId, (channel) => channel.admit(bob, 'MEMBER'))
      }
      await expectOneOrder([here, there], channelId)
    })

    test('a change sees the channel as it is, and nobody changes it meanwhile', async () => {
      const channelId = await newChannel()
      const most = 5
      const done = await Promise.all(
        [here, there].flatMap(({ store }) =>
          numbersTo(10).map(() =>
            store.change(channelId, async (channel) => {
              // Whoever decides by what they see decides right.
              if (channel.row.lastSeq >= most) return false
              await channel.append('CHANNEL_UPDATED', alice, `${channel.row.lastSeq + 1}`)
              return true
            }),
          ),
        ),
      )
      expect(done.filter((each) => each!.result)).toHaveLength(most)
      expect(done.flatMap((each) => each!.changes).map(({ change }) => change).toSorted()).toEqual(numbersTo(most))
      const messages = await expectOneOrder([here, there], channelId)
      expect(messages.map(({ content }) => content)).toEqual(numbersTo(most).map(String))
    })

    test('a change gives what it came to and what it changed, in order', async () => {
      const channelId = await newChannel()
      const done = await here.store.change(channelId, async (channel) => {
        const said = await channel.append('ACTION', alice, 'waves')
        await channel.touchMessage(said.id, 'PINS_CHANGED', { pinnedAt: new Date() })
        await channel.setRole(bob, 'ADMIN')
        channel.setInfo({ topic: 'tea' })
        await channel.dismiss(carol)
        await channel.admit(carol, 'MEMBER')
        return said.seq
      })
      expect(done!.result).toBe(1)
      expect(done!.changes).toMatchObject([
        { change: 1, seq: 1, type: 'message', kind: 'CREATED', message: { content: 'waves', pinnedAt: null } },
        { change: 2, seq: 1, type: 'message', kind: 'PINS_CHANGED', message: { version: 2, pinnedAt: expect.any(Date) } },
        { change: 3, seq: 1, type: 'member', member: { userId: bob, role: 'ADMIN' } },
        { change: 4, seq: 1, type: 'channel' },
        { change: 5, seq: 1, type: 'member', member: { userId: carol, leftAt: expect.any(Date) } },
        { change: 6, seq: 1, type: 'member', member: { userId: carol, leftAt: null, joinedSeq: 1, lastReadSeq: 1 } },
      ])
      expect((await rowsOf(outside, channelId)).channels).toMatchObject([{ member_count: 3, topic: 'tea', membership_version: 2 }])
    })

    test('there is nothing to change in a channel that does not exist', async () => {
      let calls = 0
      expect(await here.store.change('999999', async () => ++calls)).toBeNull()
      expect(calls).toBe(0)
    })
  })
}
