import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import {
  JoinChannelDocument,
  PublicChannelsDocument,
  SearchMessagesDocument,
  type SearchMessagesQuery,
  type SearchMessagesQueryVariables,
} from '../../client-sdk/index.ts'
import { runImport } from '../../server/import/testing/run-import.ts'
import type { Person, TestApp } from '../../server/testing/test-app.ts'

export type Found = SearchMessagesQuery['searchMessages']

/** A page of what somebody's search finds. */
export const search = async (person: Person, query: string, more: Partial<SearchMessagesQueryVariables> = {}): Promise<Found> => {
  const { searchMessages } = await person.client.request(SearchMessagesDocument, { query, ...more })
  return searchMessages
}

/** What its messages say, in their order. */
export const find = async (person: Person, query: string, more: Partial<SearchMessagesQueryVariables> = {}) =>
  (await search(person, query, more)).edges.map(({ node }) => node.content)

/** All pages of a search, `between` which something may happen. */
export async function findAll(person: Person, query: string, first: number, between = async () => {}) {
  const found: Found['edges'] = []
  for (let after: string | null = null; ; ) {
    const page: Found = await search(person, query, { first, after })
    found.push(...page.edges)
    if (!page.pageInfo.hasNextPage) return found
    after = page.pageInfo.endCursor
    await between()
  }
}

/** Imports a log in the documented form. */
export async function importText(app: TestApp, text: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'maru-search-'))
  const file = join(folder, 'log.jsonl')
  await writeFile(file, text)
  const run = await runImport(app.databaseUrl, file)
  await rm(folder, { recursive: true })
  expect(run.code, run.stderr).toBe(0)
}

/** Makes somebody a member of all public channels, and gives their ids. */
export async function joinAll(person: Person): Promise<string[]> {
  const { publicChannels } = await person.client.request(PublicChannelsDocument, { first: 100 })
  const ids = publicChannels.edges.map(({ node }) => node.id)
  for (const channelId of ids) await person.client.request(JoinChannelDocument, { channelId })
  return ids
}
