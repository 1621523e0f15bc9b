import { describe, expect, test } from 'vitest'
import { matches, parseSearchQuery } from '../../lib/search-query.ts'
import { alice, announceName, appendOld, bob, edit, erase, type Process, say, type TwoStores } from '../../testing/two-stores.ts'
import { numbersTo } from '../../testing/two-stores-reading.ts'
import { bucketAt, startOf } from '../bucket-time.ts'
import type { SearchRequest } from '../search.ts'
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
      channelIds, terms, messages: 100, since, authorIds: null, low: '1', high: newestOfAll, size: 50,
      accepts: ({ content }) => matches(needles, content),
      ...more,
    }
    const found: string[] = []
    for (let { high } = request; ; ) {
      const { keys, reached } = await store.search({ ...request, high })
      expect(keys.length).toBeLessThanOrEqual(request.size + 1)
      found.push(...keys.slice(0, request.size).map(({ messageId }) => messageId))
      if (keys.length > request.size) high = keys[request.size - 1]!.messageId
      else if (reached === null) return found
      else high = reached
    }
  }

  // By the messages of the channels, and as in channels so large that the index of words is asked.
  describe.each([['few', 100], ['many', 5_000_000]])('search where there are %s messages', (_, messages) => {
    const find = (process: Process, query: string, channelIds: readonly string[], more: Partial<SearchRequest> = {}) =>
      search(process, query, channelIds, { messages, ...more })

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

    test('it comes newest first, by pages of any size, over months and channels', async () => {
      const [one, two, silent] = [await newChannel(), await newChannel(), await newChannel()]
      const ids = [-20, -19, -7, -1].flatMap((nth) => numbersTo(5).map((day) => snowflakeAt(startOf(now + nth) + day * 86_400_000)))
      const own = (channelId: string, id: string) => (BigInt(id) + BigInt(channelId)).toString()
      for (const channelId of [one, two, silent]) {
        await appendOld(outside, channelId, ids.map((id, nth) => ({ id: own(channelId, id), content: nth % 2 === 0 ? 'rhubarb' : 'pie' })))
      }
      const newest = await say(here, one, alice, 'a rhubarb of today')
      const wanted = ids.filter((_, nth) => nth % 2 === 0).flatMap((id) => [own(one, id), own(two, id)])
      const inOrder = [...wanted, newest.id].toSorted((a, b) => Number(BigInt(b) - BigInt(a)))
      for (const size of [1, 4, 50]) expect(await find(there, 'rhubarb', [two, one], { size })).toEqual(inOrder)
      expect(await find(there, 'rhubarb', [await newChannel()])).toEqual([])
      // The upper end is excluded, and the lower is not.
      const [low, high] = [own(one, ids[4]!), own(two, ids[8]!)]
      const between = inOrder.filter((id) => BigInt(id) >= BigInt(low) && BigInt(id) < BigInt(high))
      expect(await find(there, 'rhubarb', [two, one], { low, high })).toEqual(between)
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
