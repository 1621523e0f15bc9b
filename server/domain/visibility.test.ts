import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { migrate } from '../../drizzle/migrate.ts'
import { unavailable } from '../errors.ts'
import { createRandom } from '../testing/random.ts'
import { createTestDatabase } from '../testing/test-app.ts'
import { type Pair, pairKey, visiblePairs } from './visibility.ts'

let database: Database
beforeAll(async () => {
  database = openDatabase({ url: await createTestDatabase(), poolSize: 4, deadlineMs: 30_000, unavailable })
  await migrate(database)
})
afterAll(() => database.close())

const random = createRandom(20_260_117)
const people = Array.from({ length: 40 }, (_, nth) => String(nth + 1))
const someone = () => people[random.below(people.length)]!
const pair = (): Pair => ({ viewerId: someone(), userId: someone() })
const pairs = (count: number): Pair[] => Array.from({ length: count }, pair)

/** What people do, written down twice: into the store, and here to be gone through one by one. */
const rooms = new Map<string, Set<string>>()
const added: Pair[] = []
const blocked: Pair[] = []
beforeAll(async () => {
  for (let room = 1; room <= 12; room++) {
    const here = new Set(Array.from({ length: 5 }, someone))
    const gone = new Set(Array.from({ length: 8 }, someone)).difference(here)
    rooms.set(String(room), here)
    for (const [ids, leftAt] of [[here, null], [gone, new Date()]] as const) {
      await database.run(
        `insert into members (channel_id, user_id, role, joined_at, left_at, change)
         select $1, u, 'MEMBER', now(), $3::timestamptz, 1 from unnest($2::bigint[]) u`,
        [room, [...ids], leftAt],
      )
    }
  }
  added.push(...pairs(200))
  blocked.push(...pairs(100))
  for (const { viewerId, userId } of added) {
    await database.run('insert into contacts values ($1, $2, now()) on conflict do nothing', [userId, viewerId])
  }
  for (const { viewerId, userId } of blocked) {
    await database.run('insert into blocks values ($1, $2, now()) on conflict do nothing', [userId, viewerId])
  }
})

const has = (list: readonly Pair[], viewerId: string, userId: string) =>
  list.some((each) => each.viewerId === viewerId && each.userId === userId)

function maySee({ viewerId, userId }: Pair): boolean {
  if (viewerId === userId) return true
  if (has(blocked, viewerId, userId) || has(blocked, userId, viewerId)) return false
  return has(added, viewerId, userId) || [...rooms.values()].some((here) => here.has(viewerId) && here.has(userId))
}

const everybody = people.flatMap((viewerId) => people.map((userId) => ({ viewerId, userId })))
const next = (nth: number) => people[(nth + 1) % people.length]!
const twice = pairs(30).flatMap((each) => [each, each])
const strangers = Array.from({ length: 6_000 }, (_, nth) => ({ viewerId: '3', userId: String(nth + 100) }))

test.each<[what: string, asked: Pair[]]>([
  ['nobody', []],
  ['somebody who looks at themselves', [{ viewerId: '1', userId: '1' }]],
  ['one who looks at all', people.map((userId) => ({ viewerId: '7', userId }))],
  ['all who look at one', people.map((viewerId) => ({ viewerId, userId: '7' }))],
  ['some who look at some, few of all combinations', pairs(60)],
  ['each at one, no two at the same', people.map((viewerId, nth) => ({ viewerId, userId: next(nth) }))],
  ['all at all', everybody],
  ['the same twice', twice],
  ['more than fit into one statement', [...everybody, ...strangers]],
])('%s: seen are those of the same channels, and who has added the viewer, but for blocks', async (_, asked) => {
  const wanted = new Set(asked.filter(maySee).map(pairKey))
  expect(await visiblePairs(database, asked)).toEqual(wanted)
})

test('there is something of everything in what was tried', () => {
  const kinds = Map.groupBy(everybody, (each) => {
    const { viewerId, userId } = each
    const isShared = [...rooms.values()].some((here) => here.has(viewerId) && here.has(userId))
    return [maySee(each), isShared, has(added, viewerId, userId)].join(' ')
  })
  // All that can be, and somebody who sees themselves and is in no channel.
  expect(kinds.size).toBe(8)
})
