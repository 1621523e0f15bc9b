import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Database } from '../../drizzle/connection.ts'
import { buildNames } from '../../workers/suggestions-trees.ts'
import { recordStatements } from '../testing/record-statements.ts'
import { startTestApp, type TestApp } from '../testing/test-app.ts'
import { createAutocompleteService } from './autocomplete.ts'
import { createNodeReader, encodeEntries } from './autocomplete-nodes.ts'
import { addNameKeys } from './name-keys.ts'

let app: TestApp
let database: Database
beforeAll(async () => {
  app = await startTestApp()
  database = app.app.database
  await database.run(`insert into suggestion_trees (name) values ('NAMES'), ('TERMS') on conflict do nothing`, [])
})
afterAll(() => app.stop())

test('very many people do not take the places of channels, whether there is a tree and it is remembered or not', async () => {
  const people = Array.from({ length: 900 }, (_, nth) => ({
    kind: 'USER' as const, id: String(1_000 + nth), names: [`alex${nth + 1_000}`], score: nth,
  }))
  const places = ['alex', 'alexandria', 'alexzone'].map((name, nth) => ({
    kind: 'CHANNEL' as const, id: String(nth + 1), names: [name], score: 0,
  }))
  await addNameKeys(database, [...people, ...places])
  async function found(reader = createNodeReader(database)) {
    const { found: all, isAll } = await reader.read(['USER', 'CHANNEL'], 'alex')
    expect(isAll).toBe(false)
    const ids = (kind: string) => all.filter((each) => each.kind === kind).map(({ id }) => id).toSorted()
    return { people: ids('USER').length, channels: ids('CHANNEL') }
  }
  expect(await found()).toEqual({ people: 500, channels: ['1', '2', '3'] })
  await buildNames(database)
  const reader = createNodeReader(database)
  const cold = await found(reader)
  expect(cold).toEqual({ people: 40, channels: ['1', '2', '3'] })
  expect(await found(reader)).toEqual(cold)
})

test('terms are not suggested that hold a word that is blocked since they were gathered', async () => {
  await database.run(
    `insert into suggestion_nodes (lead, prefix, kind, generation, whole, entries) values ('', '', 'TERM', 1, false, $1)`,
    [encodeEntries([{ id: 'bad tea', score: 2 }, { id: 'good tea', score: 1 }])],
  )
  await database.run(`update suggestion_trees set generation = 1 where name = 'TERMS'`, [])
  const suggestedTo = async (isBlockedTerm: (text: string) => boolean) => {
    const service = createAutocompleteService({ database, finding: { sampleShare: 0, isBlockedTerm } })
    const found = await service.find('1', { prefix: '', kinds: ['TERM'], channelId: null, first: null })
    return found.map(({ text }) => text)
  }
  expect(await suggestedTo(() => false)).toEqual(['bad tea', 'good tea'])
  expect(await suggestedTo((text) => text.includes('bad'))).toEqual(['good tea'])
})

test('for a prefix that is longer than any term nothing is asked', async () => {
  const ran = recordStatements(database)
  const reader = createNodeReader(database)
  expect(await reader.terms('ㅎ'.repeat(201))).toEqual([])
  expect(ran).toEqual([])
  await reader.terms('ㅎ'.repeat(200))
  expect(ran.some(({ text }) => text.startsWith('/* terms */'))).toBe(true)
})
