import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { alice, bob, edit, type Process, say, sendOf, type TwoStores } from '../../testing/two-stores.ts'
import { expectOneOrder, failureOf, headOf, numbersTo } from '../../testing/two-stores-reading.ts'
import type { MessageRow } from '../rows.ts'

const deadlineMs = 1_000

/** That of a database which is not told another. */
const usualDeadlineMs = 5_000

/** What a busy machine may be late by. */
const marginMs = 2_000

/** Deadlines: every call is answered, by UNAVAILABLE if by nothing else, and what nobody knows of is stored once at most. */
export function describeDeadlines(stores: TwoStores): void {
  const { here, there, newChannel, hold, open } = stores
  const text = (messages: readonly MessageRow[]) => messages.map(({ content }) => content).toSorted()

  describe('deadlines', () => {
    let hasty: Process
    beforeAll(async () => {
      hasty = await open({ deadlineMs })
    })
    afterAll(() => hasty.close())

    /** How a call has failed, and after how many milliseconds. */
    async function watch(call: Promise<unknown>) {
      const started = performance.now()
      const failure = await failureOf(call)
      return { failure, ms: performance.now() - started }
    }

    test('while somebody holds a channel, writers are told in time, readers go on, and so do other channels', async () => {
      const [channelId, other] = [await newChannel(), await newChannel()]
      const message = await say(here, channelId, alice, 'there')
      const release = await hold(channelId)
      const send = sendOf(bob, 'held')
      const calls = [watch(hasty.store.send(channelId, 0, send)), watch(edit(hasty, message, 'edited'))]
      expect(await hasty.store.message({ channelId, messageId: message.id })).toEqual(message)
      expect(await hasty.store.pages([{ channelId, span: { from: 1, to: 5 }, anchor: 'start', change: 1 }])).toEqual([[message]])
      expect(await hasty.store.changesSince(channelId, { change: 0, seq: 0 }, 5, alice)).toMatchObject({ complete: true })
      expect(await headOf(hasty, channelId)).toMatchObject({ seq: 1 })
      expect(await hasty.store.seqAt(channelId, '1')).toBe(1)
      await say(hasty, other, alice, 'elsewhere')
      for (const { failure, ms } of await Promise.all(calls)) {
        expect(failure).toBe('UNAVAILABLE')
        expect(ms).toBeGreaterThan(deadlineMs - 100)
        expect(ms).toBeLessThan(deadlineMs + marginMs)
      }
      await release()
      const outcome = await there.store.send(channelId, 0, send)
      expect(outcome).toMatchObject({ message: { content: 'held', authorId: bob } })
      expect(text(await expectOneOrder([here, there, hasty], channelId)).filter((content) => content === 'held')).toHaveLength(1)
    })

    test('of many who wait for a held channel each is told in time, and what they ask for again is stored once', async () => {
      const channelId = await newChannel()
      const message = await say(here, channelId, alice, 'there')
      const process = await open()
      const release = await hold(channelId)
      // More than go at once.
      const sends = numbersTo(300).map((nth) => sendOf(alice, `${nth}`))
      const calls: ReturnType<typeof watch>[] = []
      for (const [nth, send] of sends.entries()) {
        calls.push(watch(process.store.send(channelId, 0, send)))
        if (nth % 60 === 0) calls.push(watch(edit(process, message, `${nth}`)))
        await sleep(2)
      }
      // A deadline for its turn, and one for what it does then.
      for (const { failure, ms } of await Promise.all(calls)) {
        expect(failure).toBe('UNAVAILABLE')
        expect(ms).toBeLessThan(2 * usualDeadlineMs + marginMs)
      }
      await release()
      const again = await Promise.all(sends.map((send, nth) => (nth % 2 === 0 ? process : there).store.send(channelId, 0, send)))
      for (const outcome of again) expect(outcome).toMatchObject({ message: { authorId: alice } })
      const messages = await expectOneOrder([here, there], channelId)
      expect(text(messages.slice(1))).toEqual(sends.map(({ content }) => content).toSorted())
      await process.close()
    }, 40_000)

    test('a channel that is let go just before or after the deadline has everything once', async () => {
      for (const ms of [deadlineMs - 50, deadlineMs + 50, deadlineMs + 600]) {
        const channelId = await newChannel()
        const root = await say(here, channelId, alice, 'root')
        const release = await hold(channelId)
        const sends = numbersTo(5).map((nth) => sendOf(bob, `${nth}`, { root }))
        const calls = sends.map((send) => hasty.store.send(channelId, 0, send).catch(() => null))
        await sleep(ms)
        await release()
        // At the same moment as what may still be under way.
        const again = await Promise.all(sends.map((send) => there.store.send(channelId, 0, send)))
        await Promise.all(calls)
        const messages = await expectOneOrder([here, there, hasty], channelId)
        expect(text(messages)).toEqual(['1', '2', '3', '4', '5', 'root'])
        expect(messages[0]!.replyCount).toBe(5)
        const answered = again.map((outcome) => (outcome as { message: MessageRow }).message.id)
        expect(answered.toSorted()).toEqual(messages.slice(1).map(({ id }) => id).toSorted())
      }
    })

    test('with all its connections taken a process answers in time, and goes on when they come back', async () => {
      const channelIds = await Promise.all(numbersTo(8).map(newChannel))
      const messages = await Promise.all(channelIds.map((channelId) => say(here, channelId, alice, 'there')))
      const releases = await Promise.all(channelIds.map(hold))
      const edits = messages.map((message) => watch(edit(hasty, message, 'edited')))
      const reads = [
        hasty.store.message({ channelId: channelIds[0]!, messageId: messages[0]!.id }),
        hasty.store.heads(channelIds),
        hasty.store.pages([{ channelId: channelIds[0]!, span: { from: 1, to: 1 }, anchor: 'start', change: 1 }]),
        hasty.store.changesSince(channelIds[0]!, { change: 0, seq: 0 }, 5, alice),
      ].map(watch)
      const other = await newChannel()
      const sending = watch(hasty.store.send(other, 0, sendOf(alice, 'no connection')))
      for (const { failure, ms } of await Promise.all([...edits, ...reads, sending])) {
        expect([null, 'UNAVAILABLE']).toContain(failure)
        expect(ms).toBeLessThan(3 * deadlineMs + marginMs)
      }
      for (const { failure } of await Promise.all(edits)) expect(failure).toBe('UNAVAILABLE')
      await Promise.all(releases.map((release) => release()))
      await Promise.all(messages.map((message) => edit(there, message, 'goes on')))
      await expect.poll(() => failureOf(edit(hasty, messages[0]!, 'with them'))).toBeNull()
    })

    test('whoever waits for everything to be sent is told when it is', async () => {
      const channelId = await newChannel()
      const process = await open()
      const sends = numbersTo(50).map((nth) => process.store.send(channelId, 0, sendOf(alice, `${nth}`)))
      await process.store.drain()
      expect(await headOf(there, channelId)).toMatchObject({ seq: 50 })
      await Promise.all(sends)
      await process.store.drain()
      await process.close()
    })
  })
}
