import { describe, expect, test } from 'vitest'
import { matches, parseSearchQuery } from '../../lib/search-query.ts'
import { alice, announceName, appendOld, bob, edit, erase, type Process, say, type TwoStores } from '../../testing/two-stores.ts'
import { numbersTo } from '../../testing/two-stores-reading.ts'
import { bucketAt, startOf } from '../bucket-time.ts'
import type { MessageKey } from '../pages.ts'
import { beforeId, placeOf, type SearchRequest } from '../search.ts'
import { snowflakeAt } from '../snowflake.ts'

const newestOfAll = '9223372036854775807'

/** Search: whatever is acknowledged is found by what it says, and by nothing that it does not say any more. */
export function describeSearch(stores: TwoStores): void {
  const { here, there, outside, newChannel } = stores
  const now = bucketAt(Date.now())
  const since = startOf(now - 24)

  /** What a search finds, page by page. */
  async function search({ store }: Process, query: string, channelIds: readonly string[], more: Partial<SearchRequest> = {}) {
    const { terms, needles } = parseSearchQuery(query)
    const request: SearchRequest = {
      channelIds, terms, messages: 100, since, authorIds: null, low: '1', before: beforeId(newestOfAll), size: 50,
      accepts: ({ content }) => matches(needles, content),
      ...more,
    }
    const found: MessageKey[] = []
    for (let { before } = request; ; ) {
      const { keys, reached } = await store.search({ ...request, before })
      expect(keys.length).toBeLessThanOrEqual(request.size + 1)
      const page = keys.slice(0, request.size)
      found.push(...page)
      if (keys.length > request.size) before = placeOf(page.at(-1)!)
      else if (reached === null) return found
      else before = reached
    }
  }

  // By the messages of the channels, and as in channels so large that the index of words is asked.
  describe.each([['few', 100], ['many', 5_000_000]])('search where there are %s messages', (_, messages) => {
    const find = async (process: Process, query: string, channelIds: readonly string[], more: Partial<SearchRequest> = {}) => {
      const keys = await search(process, query, channelIds, { messages, ...more })
      return keys.map(({ messageId }) => messageId)
    }

    test('what is acknowledged is found at once, on every process', async () => {
      const channelId = await newChannel()
      for (const nth of numbersTo(20)) {
        const { id } = await say(nth % 2 === 0 ? here : there, channelId, alice, `teapot number${nth} 학교에서 차 한 잔`)
        expect(await find(nth % 2 === 0 ? there : here, `number${nth}`, [channelId])).toEqual([id])
        expect((await find(there, '학교', [channelId]))[0]).toBe(id)
      }
      expect(await find(here, 'teapot', [channelId])).toHaveLength(20)
    })

    test('what is edited is found by what it says now, and what is deleted is not', async () => {
      const channelId = await newChannel()
      const [message, other] = [await say(here, channelId, alice, 'strawberry'), await say(here, channelId, alice, 'raspberry')]
      await edit(there, message, 'blueberry')
      expect(await find(here, 'blueberry', [channelId])).toEqual([message.id])
      // Also where nobody looks at what it says.
      expect(await find(here, 'strawberry', [channelId], { accepts: () => true })).toEqual([])
      await erase(there, message)
      expect(await find(here, 'blueberry', [channelId], { accepts: () => true })).toEqual([])
      expect(await find(here, 'raspberry', [channelId])).toEqual([other.id])
    })

    test('it comes newest first, by pages of any size, over months and channels, which may have the same ids', async () => {
      const [one, two, silent] = [await newChannel(), await newChannel(), await newChannel()]
      const ids = [-20, -19, -7, -1].flatMap((nth) => numbersTo(5).map((day) => snowflakeAt(startOf(now + nth) + day * 86_400_000)))
      for (const channelId of [one, two, silent]) {
        await appendOld(outside, channelId, ids.map((id, nth) => ({ id, content: nth % 2 === 0 ? 'rhubarb' : 'pie' })))
      }
      const newest = await say(here, one, alice, 'a rhubarb of today')
      const older = ids.filter((_, nth) => nth % 2 === 0).toReversed()
      const wanted = [
        { channelId: one, messageId: newest.id },
        ...older.flatMap((messageId) => [two, one].map((channelId) => ({ channelId, messageId }))),
      ]
      for (const size of [1, 4, 50]) expect(await search(there, 'rhubarb', [one, two], { size, messages })).toEqual(wanted)
      expect(await find(there, 'rhubarb', [await newChannel()])).toEqual([])
      // The oldest is among them, and that before which they come is not.
      const between = wanted.filter(({ messageId }) => BigInt(messageId) >= BigInt(ids[4]!) && BigInt(messageId) < BigInt(ids[8]!))
      expect(between).toHaveLength(4)
      const bounds = { low: ids[4]!, before: beforeId(ids[8]!), messages }
      expect(await search(there, 'rhubarb', [two, one], bounds)).toEqual(between)
      const place = { id: ids[8]!, channelId: two }
      expect(await search(there, 'rhubarb', [two, one], { ...bounds, before: place })).toEqual([{ channelId: one, messageId: ids[8] }, ...between])
    })

    test('what has the words and not the phrase hides nothing that comes after it', async () => {
      const channelId = await newChannel()
      const phrase = await say(here, channelId, alice, 'milk tea')
      await Promise.all(numbersTo(90).map(() => say(there, channelId, alice, 'tea milk')))
      for (const size of [1, 50]) expect(await find(here, '"milk tea"', [channelId], { size })).toEqual([phrase.id])
    })

    test('authors bound it, and what the system says is not found', async () => {
      const channelId = await newChannel()
      const [mine, yours] = [await say(here, channelId, alice, 'marmalade'), await say(here, channelId, bob, 'marmalade')]
      await announceName(there, channelId, 'marmalade')
      expect(await find(there, 'marmalade', [channelId])).toEqual([yours.id, mine.id])
      expect(await find(there, 'marmalade', [channelId], { authorIds: [bob, '77'] })).toEqual([yours.id])
      expect(await find(there, 'marmalade', [channelId], { authorIds: ['77'] })).toEqual([])
      // Without words it is all that people have said.
      expect(await find(there, '', [channelId], { authorIds: [alice] })).toEqual([mine.id])
      expect(await find(there, '', [channelId])).toEqual([yours.id, mine.id])
      await erase(here, yours)
      expect(await find(there, '', [channelId])).toEqual([mine.id])
    })

    test('long messages are found by all that they say', async () => {
      const channelId = await newChannel()
      const filler = numbersTo(6_000).map((nth) => `word${nth}`).join(' ')
      const { id } = await say(here, channelId, alice, `${filler} persimmon`)
      expect(await find(there, 'persimmon', [channelId])).toEqual([id])
      expect(await find(there, 'word1 word5999', [channelId])).toEqual([id])
    })

    test('whatever is answered while others write and edit is found', async () => {
      const channelId = await newChannel()
      await Promise.all(
        [here, there].flatMap((process, which) =>
          numbersTo(5).map(async (writer) => {
            for (let nth = 0; nth < 5; nth++) {
              const word = `w${which}x${writer}x${nth}`
              const message = await say(process, channelId, alice, `${word} before`)
              expect(await find(which === 0 ? there : here, word, [channelId])).toEqual([message.id])
              await edit(process, message, `${word} after`)
              expect(await find(which === 0 ? there : here, `"${word} after"`, [channelId])).toEqual([message.id])
            }
          }),
        ),
      )
    })
  })
}
