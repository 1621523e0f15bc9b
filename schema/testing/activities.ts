import { expect } from 'vitest'
import type { Person, Replica, TestApp } from '../../server/testing/test-app.ts'
import { operation } from './operations.ts'

/** An activity as a device keeps it. */
export type KeptActivity = {
  id: string
  order: number
  kind: string
  at: string
  actor: { username: string }
  channel: { id: string }
  message: { id: string; content: string } | null
  emoji: string | null
  read: boolean
}

export const activityFields = `id order kind at actor { username } channel { id } message { id content } emoji read`

type Page = { edges: { cursor: string; node: KeptActivity }[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } }

export const activityOperation = operation<
  { activity: Page; activityUnreadCount: number },
  { first?: number; after?: string | null }
>(`query Activity($first: Int, $after: String) {
  activity(first: $first, after: $after) { edges { cursor node { ${activityFields} } } pageInfo { hasNextPage endCursor } }
  activityUnreadCount
}`)

const markOperation = operation<{ markActivityRead: number }, { upTo: string }>(
  'mutation MarkActivityRead($upTo: ID!) { markActivityRead(upTo: $upTo) }',
)

/** One page of what is about somebody. */
export const activityPage = async (person: Person, first?: number, after?: string | null) =>
  (await person.client.request(activityOperation, { ...(first === undefined ? {} : { first }), after: after ?? null })).activity

/** All that is about somebody, the newest first, read in pages of so many. */
export async function activityOf(person: Person, first = 100): Promise<KeptActivity[]> {
  const found: KeptActivity[] = []
  for (let after: string | null = null; ; ) {
    const { edges, pageInfo } = await activityPage(person, first, after)
    found.push(...edges.map(({ node }) => node))
    if (!pageInfo.hasNextPage) return found
    after = pageInfo.endCursor
  }
}

export const unreadOf = async (person: Person) =>
  (await person.client.request(activityOperation, { first: 1 })).activityUnreadCount

export const markActivityRead = async (person: Person, upTo: string) =>
  (await person.client.request(markOperation, { upTo })).markActivityRead

/** Waits until workers have done what there is to do about activities. */
export async function untilMade(app: TestApp | Replica): Promise<void> {
  const { database, jobs } = app.app
  await expect
    .poll(async () => {
      // In this order: what is taken out of the outbox is a job by then.
      let waiting = 0
      for (const table of ['outbox', 'reaction_outbox']) waiting += (await database.run(`select from ${table}`, [])).length
      const counts = (await jobs.operator.counts()).find(({ kind }) => kind === 'activity')!
      return waiting + counts.ready + counts.active + counts.deferred
    }, { timeout: 20_000 })
    .toBe(0)
}
