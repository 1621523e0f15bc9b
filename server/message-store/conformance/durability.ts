import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { countLockWaits } from '../../testing/lock-waits.ts'
import {
  alice, bob, carol, edit, erase, type Process, say, sendOf, type TwoStores,
} from '../../testing/two-stores.ts'
import { expectBelongings, expectOneOrder, failureOf, headOf, numbersTo, rowsOf } from '../../testing/two-stores-reading.ts'
import type { MessageRow } from '../rows.ts'
import { hashOf, type Send } from '../send.ts'

/** Durability and atomicity: what is answered is there, whole; what is refused has left nothing. */
export function describeDurability(stores: TwoStores): void {
  const { here, there, outside, newChannel, hold, kill, open } = stores

  /** Sends until it is known to be stored. Returns what became of it, and how often nobody knew. */
  async function insist({ store }: Process, channelId: string, send: Send) {
    for (let refusals = 0; ; refusals++) {
      try {
        const outcome = await store.send(channelId, 0, send)
        if (outcome === 'moved' || outcome.outcome === 'conflict') throw new Error(`Not sent: ${JSON.stringify(outcome)}`)
        return { ...outcome, refusals }
      } catch (error) {
        expect(error).toMatchObject({ code: 'UNAVAILABLE' })
        await sleep(10)
      }
    }
  }

  describe('durability and atomicity', () => {
    test('an answered message is there with all that belongs to it, for everybody', async () => {
      const channelId = await newChannel()
      const root = await say(here, channelId, alice, 'root')
      const send = sendOf(bob, 'answer', { root, mentionIds: [alice, carol] })
      const outcome = await here.store.send(channelId, 0, send)
      const { message } = outcome as { message: MessageRow }
      expect(await there.store.message({ channelId, messageId: message.id })).toEqual(message)
      expect(message).toMatchObject({
        channelId, seq: 2, change: 2, version: 2, kind: 'USER', authorId: bob, content: 'answer', replyToId: root.id,
        mentionIds: [alice, carol], replyCount: 0, editedAt: null, deletedAt: null, pinnedAt: null,
      })
      expect(await there.store.message({ channelId, messageId: root.id })).toEqual({ ...root, replyCount: 1, version: 3 })
      const rows = await rowsOf(outside, channelId)
      const uuid = (hash: string) => hash.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
      expect(rows.send_keys).toContainEqual({
        channel_id: channelId, key_hash: uuid(hashOf(`${bob} ${send.key}`)), message_id: message.id, body_hash: uuid(send.bodyHash),
      })
      expect(rows.mentions).toEqual([alice, carol].map((user_id) => ({ channel_id: channelId, user_id, seq: 2, message_id: message.id })))
      expect(rows.replies).toEqual([{ channel_id: channelId, root_id: root.id, seq: 2, message_id: message.id, deleted: false }])
      expect(rows.threads).toMatchObject([{ user_id: alice, last_read_seq: 1 }, { user_id: bob, last_read_seq: 2 }])
      expect(rows.members.map((row) => [row.user_id, row.last_read_seq])).toEqual([[alice, 1], [bob, 2], [carol, 0]])
      expect(rows.outbox.map((row) => [row.first_seq, row.last_seq])).toEqual([[1, 1], [2, 2]])
      expect(await headOf(there, channelId)).toMatchObject({ seq: 2, change: 3 })
    })

    test('what sends have changed is announced after it was committed, and before its senders know', async () => {
      const channelId = await newChannel()
      const seen: Promise<MessageRow | null>[] = []
      const process = await open({
        onAnnounce(changes) {
          for (const change of changes) {
            if (change.type === 'message') seen.push(there.store.message({ channelId, messageId: change.message.id }))
          }
        },
      })
      const sends = numbersTo(30).map(async (nth) => {
        const { id } = await say(process, channelId, alice, `${nth}`)
        expect(process.announced.map((change) => change.type === 'message' && change.message.id)).toContain(id)
      })
      await Promise.all(sends)
      expect(await Promise.all(seen)).toEqual(await expectOneOrder([here], channelId))
      await process.close()
    })

    test('a send that is refused in the midst of a batch leaves nothing, and hurts nobody else', async () => {
      const channelId = await newChannel()
      const refused = sendOf(bob, 'no \0 character', { mentionIds: [alice] })
      const outcomes = await Promise.all(
        // The first goes alone, and the others meet at the channel meanwhile.
        [sendOf(alice, 'one'), sendOf(alice, 'two'), refused, sendOf(bob, 'three')].map((send) =>
          here.store.send(channelId, 0, send).then((outcome) => outcome !== 'moved' && outcome.outcome, () => 'refused'),
        ),
      )
      const messages = await expectOneOrder([here, there], channelId)
      await expectBelongings(outside, channelId, messages)
      expect(outcomes).toEqual(['sent', 'sent', 'refused', 'sent'])
      expect(messages.map(({ content }) => content)).toEqual(['one', 'two', 'three'])
    })

    test('a send that is refused by itself leaves nothing, not even its key', async () => {
      const channelId = await newChannel()
      const root = await say(here, channelId, alice, 'root')
      const before = await rowsOf(outside, channelId)
      const refused = sendOf(bob, 'no \0 character', { root, mentionIds: [alice] })
      expect(await failureOf(here.store.send(channelId, 0, refused))).not.toBeNull()
      expect(await rowsOf(outside, channelId)).toEqual(before)
      expect(await here.store.send(channelId, 0, { ...refused, content: 'a character' })).toMatchObject({ outcome: 'sent' })
    })

    test('a change that fails leaves nothing of what it did, wherever it fails', async () => {
      const channelId = await newChannel()
      const message = await say(here, channelId, alice, 'stays')
      const before = await rowsOf(outside, channelId)
      const failing = (fail: (run: Process['database']['run']) => unknown) =>
        failureOf(
          here.store.change(channelId, async (channel) => {
            await channel.append('CHANNEL_UPDATED', alice, 'never')
            await channel.touchMessage(message.id, 'EDITED', { content: 'never' })
            await channel.admit('4', 'MEMBER')
            await channel.dismiss(bob)
            channel.setInfo({ name: 'never' })
            await fail(channel.tx.run)
          }),
        )
      expect(await failing(() => Promise.reject(new TypeError('changed my mind')))).toBeInstanceOf(TypeError)
      expect(await failing((run) => run('select 1 / 0', []))).toMatchObject({ code: '22012' })
      // A statement has failed, and nobody minded.
      expect(await failing((run) => failureOf(run('select 1 / 0', [])))).not.toBeNull()
      expect(await failing((run) => run('select pg_terminate_backend(pg_backend_pid())', []))).toBe('UNAVAILABLE')
      expect(await rowsOf(outside, channelId)).toEqual(before)
      await edit(here, message, 'goes on')
      expect(await headOf(there, channelId)).toMatchObject({ seq: 1, change: 2 })
    })

    test('with its connections killed while it writes a process says UNAVAILABLE, and the same key stores it once', async () => {
      const channelId = await newChannel()
      const message = await say(here, channelId, alice, 'there')
      const process = await open()
      const release = await hold(channelId)
      const sends = numbersTo(5).map((nth) => sendOf(bob, `${nth}`, { root: message }))
      const outcomes = sends.map((send) => failureOf(process.store.send(channelId, 0, send)))
      const editing = failureOf(edit(process, message, 'edited'))
      await expect.poll(() => countLockWaits(process.database), { interval: 10 }).toBe(2)
      expect(await kill(process)).toBeGreaterThan(1)
      expect(await outcomes[0]).toBe('UNAVAILABLE')
      expect(await editing).toBe('UNAVAILABLE')
      await release()
      await Promise.all(outcomes)
      for (const send of sends) await insist(process, channelId, send)
      const messages = await expectOneOrder([here, there], channelId)
      expect(messages.map(({ content }) => content).slice(1).toSorted()).toEqual(['1', '2', '3', '4', '5'])
      await expectBelongings(outside, channelId, messages)
      await process.close()
    })

    test.each(['near', 'far'] as const)('a change whose connection (%s) is gone at its commit is UNAVAILABLE', async (where) => {
      const channelId = await newChannel()
      const process = await open()
      await say(process, channelId, alice, 'stays')
      const before = await rowsOf(outside, channelId)
      const change = process.store.change(channelId, async (channel) => {
        await channel.tx.run('update channels set topic = $2 where id = $1', [channelId, 'gone'])
        expect(await kill(process, where)).toBeGreaterThan(0)
      })
      expect(await failureOf(change)).toBe('UNAVAILABLE')
      expect(await rowsOf(outside, channelId)).toEqual(before)
      await say(process, channelId, alice, 'goes on')
      await process.close()
    })

    test('one process is killed again and again: the other notices nothing, and everything is stored once', async () => {
      const channelId = await newChannel()
      const process = await open()
      const message = await say(there, channelId, bob, 'target')
      let isOver = false
      let refusals = 0
      const sent: string[] = []
      const writers = [process, there].flatMap((writing, which) =>
        numbersTo(5).map(async (writer) => {
          for (let nth = 0; !isOver || nth < 5; nth++) {
            const content = `${which}.${writer}.${nth}`
            sent.push(content)
            const more = nth % 3 === 0 ? { root: message, mentionIds: [bob, carol] } : {}
            const outcome = await insist(writing, channelId, sendOf(alice, content, more))
            if (writing === there) expect(outcome.refusals).toBe(0)
            refusals += outcome.refusals
          }
        }),
      )
      const failures = new Set<unknown>()
      const editor = (async () => {
        for (let nth = 0; !isOver; nth++) failures.add(await failureOf(edit(process, message, `${nth}`)))
      })()
      let killed = 0
      for (let round = 0; round < 15; round++) {
        await sleep(20 + 10 * (round % 7))
        killed += await kill(process, round % 2 === 0 ? 'near' : 'far')
      }
      isOver = true
      await Promise.all([...writers, editor])
      expect(killed).toBeGreaterThan(10)
      expect(failures.difference(new Set([null, 'UNAVAILABLE']))).toEqual(new Set())
      expect(refusals).toBeGreaterThan(0)
      const messages = await expectOneOrder([here, process, there], channelId)
      const said = messages.filter(({ id }) => id !== message.id).map(({ content }) => content)
      expect(said.toSorted()).toEqual(sent.toSorted())
      await expectBelongings(outside, channelId, messages)
      await process.close()
    }, 60_000)

    test('a deletion takes what was said away, and leaves the place', async () => {
      const channelId = await newChannel()
      const message = await say(here, channelId, alice, 'a secret', { mentionIds: [bob] })
      await erase(there, message)
      const found = await here.store.message({ channelId, messageId: message.id })
      expect(found).toMatchObject({ seq: 1, content: '', mentionIds: [], deletedAt: expect.any(Date) })
      expect(JSON.stringify((await rowsOf(outside, channelId)).messages)).not.toContain('secret')
    })
  })
}
