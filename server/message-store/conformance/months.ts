import { describe, expect, test } from 'vitest'
import { alice, announceName, appendOld, bob, edit, erase, say, sendOf, type TwoStores } from '../../testing/two-stores.ts'
import {
  expectAllChanges, expectBelongings, expectOneOrder, failureOf, headOf, numbersTo, readOn, rowsOf,
} from '../../testing/two-stores-reading.ts'
import { bucketAt, bucketOf, rangeOf, startOf, tableOf } from '../bucket-time.ts'
import type { MessageRow } from '../rows.ts'

/** Months: where one ends and the next begins, and where nobody has made room for one, nothing is to be seen of it. */
export function describeMonths(stores: TwoStores): void {
  const { here, there, outside, newChannel } = stores
  const now = bucketAt(Date.now())
  const before = (bucket: number, count: number) => (BigInt(rangeOf(bucket + 1).low) - BigInt(count)).toString()

  /** Checks that a channel's months are found, and all else that belongs to its messages, of which the first were imported. */
  async function expectMonths(channelId: string, messages: readonly MessageRow[], imported: number) {
    const sent = messages.slice(imported).filter(({ kind }) => kind === 'USER')
    await expectBelongings(outside, channelId, messages, sent)
    for (const bucket of new Set(messages.map(({ id }) => bucketOf(id)))) {
      const first = messages.find(({ id }) => bucketOf(id) === bucket)!
      expect(await there.store.seqAt(channelId, rangeOf(bucket).low)).toBe(first.seq)
    }
  }

  /** Whether a month has its own table. */
  const exists = async (bucket: number) =>
    (await outside.run<{ found: boolean }>('select to_regclass($1) is not null as found', [tableOf(bucket)]))[0]!.found

  /** Makes a channel whose newest message is so many ids away from the end of a month to come. */
  async function almostAtTheEndOf(bucket: number, count: number): Promise<{ channelId: string; newest: MessageRow }> {
    const channelId = await newChannel()
    const id = before(bucket, count + 1)
    await appendOld(outside, channelId, [{ id, content: 'newest' }])
    return { channelId, newest: (await here.store.message({ channelId, messageId: id }))! }
  }

  describe('months', () => {
    test('an import on both sides of a boundary is one history', async () => {
      const channelId = await newChannel()
      const [first, second, third] = [now - 60, now - 59, now - 50]
      await appendOld(outside, channelId, [
        { id: before(first, 2), content: '1' }, { id: before(first, 1), content: '2' }, { id: rangeOf(second).low, content: '3' },
        { id: before(second, 1), content: '4', authorId: bob }, { id: rangeOf(third).low, content: '5', replyToId: before(first, 1) },
      ])
      const messages = await expectOneOrder([here, there], channelId)
      expect(messages.map(({ content }) => content)).toEqual(['1', '2', '3', '4', '5'])
      expect(messages.map(({ id }) => bucketOf(id))).toEqual([first, first, second, second, third])
      await expectMonths(channelId, messages, 5)
      for (const limit of [1, 2, 10]) {
        const { changes } = await readOn(there, channelId, { change: 0, seq: 0 }, { limit: () => limit })
        expect(changes.map((change) => change.type === 'message' && change.message)).toEqual(messages)
      }
      const [page] = await there.store.pages([{ channelId, span: { from: 2, to: 3 }, anchor: 'start', change: 5 }])
      expect(page).toEqual(messages.slice(1, 3))
    })

    test('a batch that a month ends within goes on in the next, which is made for it', async () => {
      const bucket = now + 20
      const { channelId, newest } = await almostAtTheEndOf(bucket, 4)
      expect(await exists(bucket + 1)).toBe(false)
      const sent = await Promise.all(
        numbersTo(8).map((nth) => say(here, channelId, alice, `${nth}`, { root: newest, mentionIds: [bob] })),
      )
      expect(await exists(bucket + 1)).toBe(true)
      const messages = await expectOneOrder([here, there], channelId)
      expect(messages.map(({ id }) => bucketOf(id))).toEqual(numbersTo(9).map((seq) => (seq <= 5 ? bucket : bucket + 1)))
      expect(messages[0]).toMatchObject({ content: 'newest', replyCount: 8 })
      expect(messages.slice(1)).toEqual(sent.toSorted((a, b) => a.seq - b.seq))
      await expectMonths(channelId, messages, 1)
      const { changes } = await readOn(there, channelId, { change: 1, seq: 1 }, { limit: () => 3 })
      expect(changes.map((change) => change.type === 'message' && change.message.id)).toEqual([
        ...messages.slice(1).map(({ id }) => id), newest.id,
      ])
    })

    test('many writers who meet at the end of a month, sends and what the system says, lose and double nothing', async () => {
      for (const [round, bucket] of [now + 30, now + 33].entries()) {
        const { channelId } = await almostAtTheEndOf(bucket, 3)
        const from = [here, there].map(({ announced }) => announced.length)
        const changes = await Promise.all(
          [here, there].flatMap((process) => [
            ...numbersTo(20).map(async (nth) => {
              await say(process, channelId, alice, `${nth}`)
              return []
            }),
            ...(round === 0 ? [] : numbersTo(3).map((nth) => announceName(process, channelId, `${nth}`))),
          ]),
        )
        const messages = await expectOneOrder([here, there], channelId)
        expect(messages).toHaveLength(round === 0 ? 41 : 47)
        await expectMonths(channelId, messages, 1)
        const announced = [here, there].flatMap((process, nth) => process.announced.slice(from[nth]))
        const [message] = messages
        const first = { channelId, change: 1, seq: 1, type: 'message', kind: 'CREATED', message: message! } as const
        expectAllChanges([first, ...announced, ...changes.flat()], await headOf(here, channelId))
      }
    })

    test('what the system says is the first of a month that nobody has made room for', async () => {
      const bucket = now + 40
      const { channelId } = await almostAtTheEndOf(bucket, 0)
      expect(await exists(bucket + 1)).toBe(false)
      const changes = await announceName(here, channelId, 'a new month')
      expect(changes.map(({ change }) => change)).toEqual([2, 3])
      const messages = await expectOneOrder([here, there], channelId)
      expect(messages.map(({ id }) => bucketOf(id))).toEqual([bucket, bucket + 1])
      await expectMonths(channelId, messages, 1)
      await say(there, channelId, alice, 'goes on')
      await expectMonths(channelId, await expectOneOrder([here, there], channelId), 1)
    })

    test('a key that comes again when the month is over is the same key', async () => {
      const { channelId } = await almostAtTheEndOf(now + 50, 1)
      const send = sendOf(alice, 'the last of it')
      const { message } = (await here.store.send(channelId, 0, send)) as { message: MessageRow }
      await say(there, channelId, alice, 'the first of the next')
      expect(await there.store.send(channelId, 0, send)).toEqual({ outcome: 'repeated', message })
    })

    test('messages of months that are over are edited and deleted as others are', async () => {
      const channelId = await newChannel()
      const ids = [now - 58, now - 57].map((bucket) => before(bucket, 1))
      await appendOld(outside, channelId, ids.map((id, nth) => ({ id, content: `${nth}` })))
      const [first, second] = await expectOneOrder([here], channelId)
      await Promise.all([edit(here, first!, 'edited'), erase(there, second!)])
      const messages = await expectOneOrder([here, there], channelId)
      expect(messages.map(({ content, deletedAt }) => [content, deletedAt === null])).toEqual([['edited', true], ['', false]])
      await expectMonths(channelId, messages, 2)
    })

    test('an import that is older than what is there changes nothing', async () => {
      const channelId = await newChannel()
      await say(here, channelId, alice, 'today')
      const rows = await rowsOf(outside, channelId)
      const id = String(BigInt(rangeOf(bucketAt(startOf(now) - 1)).low) + 1n)
      expect(await failureOf(appendOld(outside, channelId, [{ id, content: 'long ago' }]))).toBeInstanceOf(Error)
      expect(await rowsOf(outside, channelId)).toEqual(rows)
    })
  })
}
