import { beforeAll, describe, expect, test } from 'vitest'
import {
  alice, announceName, appendOld, bob, edit, erase, type Process, say, type TwoStores,
} from '../../testing/two-stores.ts'
import { headOf, numbersTo, readAll } from '../../testing/two-stores-reading.ts'
import { bucketAt, startOf } from '../bucket-time.ts'
import type { Anchor } from '../pages.ts'
import type { MessageRow } from '../rows.ts'
import { snowflakeAt } from '../snowflake.ts'

/** Reading: a page is one moment of the channel, wherever in the channel it lies. */
export function describeReading(stores: TwoStores): void {
  const { here, there, outside, newChannel } = stores
  const now = bucketAt(Date.now())

  const page = async ({ store }: Process, channelId: string, from: number, to: number, anchor: Anchor = 'start') => {
    const [messages] = await store.pages([{ channelId, span: { from, to }, anchor, change: 0 }])
    return messages!
  }
  const seqs = (messages: readonly MessageRow[]) => messages.map(({ seq }) => seq)
  const range = (from: number, to: number) => numbersTo(to).slice(from - 1)

  describe('reading', () => {
    /** A channel with messages of nine months with gaps between them, four each, and of now. */
    let old: string
    const months = [-41, -40, -30, -20, -13, -12, -5, -4, -1].map((nth) => now + nth)
    const oldIds = months.flatMap((bucket) => [0, 1, 2, 3].map((nth) => snowflakeAt(startOf(bucket) + nth * 86_400_000)))
    const count = oldIds.length + 4
    beforeAll(async () => {
      old = await newChannel()
      for (let start = 0; start < oldIds.length; start += 12) {
        const some = oldIds.slice(start, start + 12)
        await appendOld(outside, old, some.map((id, nth) => ({ id, content: `${start + nth + 1}` })))
      }
      for (let seq = oldIds.length + 1; seq <= count; seq++) await say(here, old, bob, `${seq}`)
    }, 60_000)

    test('any span gives what lies in it, in order, whichever months it spans', async () => {
      for (const [from, to] of [[1, count], [1, 1], [4, 5], [3, 17], [8, 9], [30, count], [count, count], [13, 13], [2, 39]]) {
        for (const anchor of ['start', 'end', 20] as const) {
          const messages = await page(there, old, from!, to!, anchor)
          expect(messages.map(({ content }) => content)).toEqual(range(from!, to!).map(String))
          expect(seqs(messages)).toEqual(range(from!, to!))
        }
      }
      expect((await page(there, old, 1, count)).slice(0, -4).map(({ id }) => id)).toEqual(oldIds)
    })

    test('a span beyond an end gives what there is, and one without anything nothing', async () => {
      expect(seqs(await page(here, old, -5, 3))).toEqual([1, 2, 3])
      expect(seqs(await page(here, old, count - 1, count + 50))).toEqual([count - 1, count])
      expect(await page(here, old, count + 1, count + 50)).toEqual([])
      expect(await page(here, old, 5, 4)).toEqual([])
      expect(await page(here, old, -5, 0)).toEqual([])
      expect(await page(here, '999999', 1, 10)).toEqual([])
      expect(await page(here, await newChannel(), 1, 10)).toEqual([])
    })

    test('pages of several channels come each in its place, also of one channel twice and of one that is none', async () => {
      const channelId = await newChannel()
      for (const nth of [1, 2, 3]) await say(here, channelId, alice, `${nth}`)
      const request = (id: string, from: number, to: number) => ({ channelId: id, span: { from, to }, anchor: 'end' as const, change: 0 })
      const pages = await there.store.pages([
        request(channelId, 2, 9), request('999999', 1, 5), request(old, 7, 10), request(channelId, 1, 2), request(old, 35, 38), request(old, 3, 2),
      ])
      expect(pages.map(seqs)).toEqual([[2, 3], [], [7, 8, 9, 10], [1, 2], [35, 36, 37, 38], []])
      expect(await there.store.pages([])).toEqual([])
    })

    test('a page tells what happened to its messages, in old months, too', async () => {
      const [message] = await page(here, old, 6, 6)
      await edit(here, message!, 'edited')
      await here.store.change(old, (channel) => channel.touchMessage(message!.id, 'PINS_CHANGED', { pinnedAt: new Date() }))
      await say(there, old, bob, 'answer', { root: message! })
      const { change } = await headOf(there, old)
      const expected = { id: message!.id, content: 'edited', version: change, replyCount: 1, pinnedAt: expect.any(Date), editedAt: expect.any(Date) }
      const [alone] = await page(there, old, 6, 6)
      expect(alone).toMatchObject(expected)
      expect((await page(there, old, 1, 12))[5]).toEqual(alone)
      const request = { channelId: old, span: { from: 6, to: 6 }, anchor: 'start' as const, change }
      expect(await there.store.pages([request, request])).toEqual([[alone], [alone]])
      expect(await there.store.message({ channelId: old, messageId: message!.id })).toEqual(alone)
      expect(await there.store.messages([{ channelId: old, messageId: message!.id }])).toEqual([alone])
    })

    test('large messages cut a page short at the end that was not asked for, and one of them always fits', async () => {
      const channelId = await newChannel()
      for (const nth of [1, 2, 3, 4, 5]) await say(here, channelId, alice, `${nth}${'x'.repeat(399_999)}`)
      expect(seqs(await page(there, channelId, 1, 5, 'start'))).toEqual([1, 2])
      expect(seqs(await page(there, channelId, 1, 5, 'end'))).toEqual([4, 5])
      const around = seqs(await page(there, channelId, 1, 5, 3))
      expect(around).toContain(3)
      expect(around).toHaveLength(2)
      await say(here, channelId, alice, 'x'.repeat(1_200_000))
      expect(seqs(await page(there, channelId, 6, 6, 'start'))).toEqual([6])
      expect(seqs(await page(there, channelId, 1, 6, 'end'))).toEqual([6])
      const request = { channelId, anchor: 'end' as const, change: 0 }
      const pages = await there.store.pages([{ ...request, span: { from: 1, to: 6 } }, { ...request, span: { from: 1, to: 3 } }])
      expect(pages.map(seqs)).toEqual([[6], [3]])
      // What is long by its bytes is as long as that.
      const korean = await newChannel()
      for (let nth = 0; nth < 3; nth++) await say(here, korean, alice, '가'.repeat(160_000))
      expect(seqs(await page(there, korean, 1, 3, 'end'))).toEqual([2, 3])
    })

    test('what was said comes back as it was said', async () => {
      const channelId = await newChannel()
      const contents = ['', ' ', '마루 🪵\u2028\n\t"\\\'', '{1,2}', 'null', 'NULL', '\\x00', '$1', '👩‍👩‍👧‍👦', 'e\u0301', '\u{10ffff}', ',', '"', "'"]
      await Promise.all(contents.map((content) => say(here, channelId, alice, content)))
      const messages = await readAll(there, channelId)
      expect(new Set(messages.map(({ content }) => content))).toEqual(new Set(contents))
    })

    test('a page is one moment: what changes together is seen together, within a month and over months', async () => {
      const channelId = await newChannel()
      const [oldId, newerId] = [oldIds[20]!, oldIds[30]!]
      await appendOld(outside, channelId, [{ id: oldId, content: '0' }, { id: newerId, content: '0' }])
      const recent = [await say(here, channelId, alice, '0'), await say(here, channelId, alice, '0')]
      const ids = [oldId, newerId, ...recent.map(({ id }) => id)]
      let isOver = false
      const writing = (async () => {
        for (let round = 1; round <= 60; round++) {
          await there.store.change(channelId, async (channel) => {
            for (const id of ids) await channel.touchMessage(id, 'EDITED', { content: `${round}`, editedAt: new Date() })
          })
        }
        isOver = true
      })()
      let reads = 0
      const seen = new Set<string>()
      while (!isOver) {
        const request = { channelId, span: { from: 1, to: 4 }, anchor: 'start' as const, change: 0 }
        const pages = [await page(here, channelId, 1, 4), ...(await here.store.pages([request, request]))]
        for (const messages of pages) {
          expect(messages).toHaveLength(4)
          expect(new Set(messages.map(({ content }) => content)).size).toBe(1)
          // Where it is told what the message says, it is told how often it has been changed.
          expect(messages.map(({ version }) => version - messages[0]!.version)).toEqual([0, 1, 2, 3])
          seen.add(messages[0]!.content)
        }
        reads++
      }
      await writing
      expect(reads).toBeGreaterThan(3)
      expect(seen.size).toBeGreaterThan(3)
    })

    test('a message is found by where and which it is, and by nothing less', async () => {
      const [channelId, other] = [await newChannel(), await newChannel()]
      const message = await say(here, channelId, alice, 'here')
      const far = await say(there, other, bob, 'there')
      const key = { channelId, messageId: message.id }
      expect(await there.store.message(key)).toEqual(message)
      expect(await there.store.message({ channelId: other, messageId: message.id })).toBeNull()
      expect(await there.store.message({ channelId, messageId: '42' })).toBeNull()
      expect(await there.store.message({ channelId: '999999', messageId: message.id })).toBeNull()
      const found = await there.store.messages([
        { channelId: other, messageId: far.id }, key, { channelId, messageId: '42' }, { channelId: '999999', messageId: far.id },
        { channelId: old, messageId: oldIds[0]! }, { channelId: old, messageId: oldIds.at(-1)! },
      ])
      const wanted = [oldIds[0], oldIds.at(-1), message.id, far.id]
      expect(found.map(({ id }) => id).toSorted()).toEqual(wanted.toSorted())
      expect(await there.store.messages([])).toEqual([])
    })

    test('the seq of a moment is that of the first message at or after it', async () => {
      const at = (snowflake: string) => there.store.seqAt(old, snowflake)
      expect(await at('1')).toBe(1)
      for (const nth of [0, 1, 3, 4, 7, 8, 20, 35]) {
        const id = BigInt(oldIds[nth]!)
        expect(await at(oldIds[nth]!)).toBe(nth + 1)
        expect(await at((id - 1n).toString())).toBe(nth + 1)
        expect(await at((id + 1n).toString())).toBe(nth + 2)
      }
      // A month without messages, and between the last of a month and its end.
      expect(await at(snowflakeAt(startOf(now - 25)))).toBe(13)
      expect(await at(snowflakeAt(startOf(now - 40) - 1))).toBe(5)
      const newest = (await page(here, old, 1, 1_000)).at(-1)!
      expect(await at(newest.id)).toBe(newest.seq)
      expect(await at((BigInt(newest.id) + 1n).toString())).toBeNull()
      expect(await at(snowflakeAt(Date.now() + 400 * 86_400_000))).toBeNull()
      expect(await there.store.seqAt('999999', '1')).toBeNull()
      expect(await there.store.seqAt(await newChannel(), '1')).toBeNull()
    })

    test('heads tell where channels stand, and leave out what is no channel', async () => {
      const [one, two, empty] = [await newChannel(), await newChannel(), await newChannel()]
      const message = await say(here, one, alice, 'one')
      await edit(there, message, 'edited')
      await announceName(there, two, 'two')
      await erase(here, message)
      const told = await here.store.heads([two, '999999', one, empty])
      const by = (a: { channelId: string }, b: { channelId: string }) => Number(a.channelId) - Number(b.channelId)
      expect(told.toSorted(by)).toEqual([
        { channelId: one, seq: 1, change: 3, membershipVersion: 0, expiredChange: 0 },
        { channelId: two, seq: 1, change: 2, membershipVersion: 0, expiredChange: 0 },
        { channelId: empty, seq: 0, change: 0, membershipVersion: 0, expiredChange: 0 },
      ])
      expect(await here.store.heads([])).toEqual([])
      const many = await here.store.heads([...numbersTo(2_000).map((nth) => String(1_000_000 + nth)), one])
      expect(many).toHaveLength(1)
    })
  })
}
