import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { UpdateProfileDocument } from '../client-sdk/index.ts'
import type { Database } from '../drizzle/connection.ts'
import { newChannel, say } from '../schema/testing/operations.ts'
import { suggest } from '../schema/testing/autocomplete.ts'
import { search } from '../schema/testing/search.ts'
import { createNodeReader } from '../server/domain/autocomplete-nodes.ts'
import { addNameKeys, newPerson } from '../server/domain/name-keys.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { channelSnowflake } from '../server/testing/watch-changes.ts'
import { keepSuggestions } from './suggestions.ts'
import { countNames } from './suggestions-names.ts'
import { buildNames } from './suggestions-trees.ts'

let app: TestApp
let database: Database
let alice: Person
beforeAll(async () => {
  app = await startTestApp()
  database = app.app.database
  alice = await app.signUp('alice')
})
afterAll(() => app.stop())

const nobodyBlocked = () => false
const keep = (isBlocked: (text: string) => boolean = nobodyBlocked) => keepSuggestions({ database, isBlocked, always: true })
async function generationOf(name: string): Promise<number> {
  const [row] = await database.run<{ generation: string }>('select generation from suggestion_trees where name = $1', [name])
  return Number(row?.generation ?? 0)
}

/** Fresh eyes: another process, which remembers nothing. */
const reader = () => createNodeReader(database)

/** Many people whose names begin alike, the later ones better known. */
async function crowd(name: string, count: number): Promise<void> {
  const people = Array.from({ length: count }, (_, nth) => {
    const id = app.app.snowflakes.next()
    return { id, username: `${name}${nth}`, displayName: `${name} ${nth}`, nth }
  })
  await database.run(
    `insert into users (id, username, display_name, created_at)
     select id, username, username, now() from unnest($1::bigint[], $2::text[]) as w (id, username)`,
    [people.map(({ id }) => id), people.map(({ username }) => username)],
  )
  await database.run('insert into usernames (key, user_id) select key, id from unnest($1::text[], $2::bigint[]) as w (key, id)', [
    people.map(({ username }) => username),
    people.map(({ id }) => id),
  ])
  await addNameKeys(database, people.map((person) => ({ ...newPerson(person), score: person.nth })))
}

describe('the tree of names', () => {
  beforeAll(async () => {
    await crowd('crowd', 300)
    await buildNamesOnly()
  })

  async function buildNamesOnly() {
    await database.run(`insert into suggestion_trees (name) values ('NAMES') on conflict do nothing`, [])
    return buildNames(database)
  }

  test('gives the best known of many, without reading through all of them', async () => {
    const before = app.statements.length
    expect(await suggest(alice, 'cro', { kinds: ['USER'], first: 3 })).toEqual(['@crowd299', '@crowd298', '@crowd297'])
    expect(app.statements.slice(before).some((text) => text.startsWith('/* name keys */'))).toBe(false)
    // One who is hardly known is found by typing more, or all of the name.
    expect(await suggest(alice, 'crowd12', { kinds: ['USER'], first: 20 })).toContain('@crowd12')
    expect((await suggest(alice, 'crowd12', { kinds: ['USER'], first: 1 }))[0]).toBe('@crowd12')
    expect((await reader().find('USER', 'crowd'))!.entries).toHaveLength(40)
    expect(await reader().find('USER', 'alice')).toBeNull()
    expect(await reader().find('CHANNEL', 'crowd')).toBeNull()
  })

  test('knows nobody who was renamed or deleted meanwhile', async () => {
    await database.run(`update users set deleted_at = now() where username = 'crowd299'`, [])
    await database.run(`update users set username = 'else298', display_name = 'else' where username = 'crowd298'`, [])
    expect(await suggest(alice, 'crow', { kinds: ['USER'], first: 2 })).toEqual(['@crowd297', '@crowd296'])
  })

  test('is swapped in whole while others read', async () => {
    const state = { over: false, reads: 0 }
    const generations = new Set<number>()
    const reading = Array.from({ length: 4 }, async () => {
      while (!state.over) {
        // New eyes each time, so that each looks at the generation of that moment.
        const node = await reader().find('USER', 'crowd')
        if (node === null || node.entries.length !== 40) throw new Error(`half a tree: ${JSON.stringify(node)}`)
        generations.add(await generationOf('NAMES'))
        expect(await suggest(alice, 'crow', { kinds: ['USER'], first: 5 })).toHaveLength(5)
        state.reads++
      }
    })
    const building = (async () => {
      for (let nth = 0; nth < 5; nth++) await buildNamesOnly()
      state.over = true
    })().finally(() => (state.over = true))
    await Promise.all([building, ...reading])
    expect(generations.size).toBeGreaterThan(1)
    expect(state.reads).toBeGreaterThan(4)
  })

  test('of which a builder has died half way is not read, and goes', async () => {
    const before = await generationOf('NAMES')
    let written = 0
    const dying: Pick<Database, 'run'> = {
      async run(text, parameters) {
        if (text.startsWith('update suggestion_trees set generation')) throw new Error('killed')
        const rows = await database.run(text, parameters)
        if (text.startsWith('/* nodes */')) written++
        return rows as never
      },
    }
    await expect(buildNames(dying)).rejects.toThrow('killed')
    expect(written).toBeGreaterThan(0)
    expect(await generationOf('NAMES')).toBe(before)
    expect((await reader().find('USER', 'crowd'))!.entries).toHaveLength(40)
    // As if a minute had gone by: nobody reads what was before.
    await database.run(`update suggestion_trees set swapped_at = now() - interval '2 minutes'`, [])
    expect((await keep())!.tidied).toContain('NAMES')
    const generations = await database.run<{ generation: string }>(
      `select distinct generation from suggestion_nodes where kind = 'USER'`,
      [],
    )
    // The one that was read until now stays until nobody does any more.
    expect(generations.map((row) => Number(row.generation)).toSorted()).toEqual([before, await generationOf('NAMES')].toSorted())
  })

  test('is built by one process at a time, and only when it is due', async () => {
    const [one, other] = await Promise.all([keep(), keep()])
    expect([one, other].filter((done) => done === null)).toHaveLength(1)
    expect(await keepSuggestions({ database, isBlocked: nobodyBlocked })).toEqual({ counted: false, built: [], tidied: [] })
  })
})

describe('people of an older store', () => {
  test('are found once a worker has been there, and a second time changes nothing', async () => {
    const old = await app.signUp('oldtimer')
    await newChannel(old, { kind: 'PUBLIC', name: 'oldplace' })
    await database.run('delete from name_keys', [])
    await database.run(`update suggestion_trees set keys_version = 0, generation = 0`, [])
    expect(await suggest(alice, 'oldt')).toEqual([])
    expect((await keep())!.counted).toBe(true)
    expect((await suggest(alice, 'old')).toSorted()).toEqual(['#oldplace', '@oldtimer'])
    const keys = () => database.run('select * from name_keys order by lead, key, kind, subject_id', [])
    const before = await keys()
    expect(await countNames(database)).toMatchObject({ dropped: 0 })
    expect(await keys()).toEqual(before)
  })
})

test('whom an older replica has renamed is found by the new name alone once names were counted', async () => {
  const dana = await app.signUp('dana')
  const placeId = await newChannel(dana, { kind: 'PUBLIC', name: 'oldtown' })
  const { userId } = parseGlobalId(dana.id) as { userId: string }
  await database.run(`update users set display_name = 'Zaphod' where id = $1`, [userId])
  await database.run(`update channels set name = 'newtown' where id = $1`, [channelSnowflake(placeId)])
  await countNames(database)
  expect(await suggest(alice, 'zaph', { kinds: ['USER'] })).toEqual(['@dana'])
  expect(await suggest(alice, 'newt')).toEqual(['#newtown'])
  const rows = await database.run<{ key: string }>('select key from name_keys where subject_id = any ($1::bigint[]) order by key', [
    [userId, channelSnowflake(placeId)],
  ])
  expect(rows.map(({ key }) => key)).toEqual(['dana', 'newtown', 'zaphod'])
  expect(await countNames(database)).toMatchObject({ added: 0, dropped: 0 })
  // Whose name is changed between the reading of names and of keys keeps the keys of the new one.
  let renamed = 0
  const meanwhile: Pick<Database, 'run'> = {
    async run(text, parameters) {
      if (text.startsWith('/* keys of each */') && renamed++ === 0) {
        await dana.client.request(UpdateProfileDocument, { input: { displayName: 'Trillian' } })
      }
      return database.run(text, parameters)
    },
  }
  await countNames(meanwhile)
  expect(await suggest(alice, 'tril', { kinds: ['USER'] })).toEqual(['@dana'])
})

describe('search terms', () => {
  let people: Person[]
  let channelId: string
  beforeAll(async () => {
    people = await Promise.all(Array.from({ length: 6 }, (_, nth) => app.signUp(`searcher${nth}`)))
    channelId = await newChannel(people[0]!, { kind: 'GROUP', name: 'room' }, people.slice(1))
    await say(people[0]!, channelId, '회의 일정 deploy plan private diary 바보 project alice@example.org 010-1234-5678')
  }, 60_000)

  async function searchAll(query: string, searchers: readonly Person[]) {
    for (const person of searchers) await search(person, query, { channelId })
    await app.app.services.searchSamples.flush()
  }
  const terms = (prefix: string) => suggest(alice, prefix, { kinds: ['TERM'] })
  /** Waits until processes look which generation there is. */
  const swapped = () => new Promise((resolve) => setTimeout(resolve, 2_100))

  test('that five people have searched for are suggested, by any of their words; fewer people’s never', async () => {
    await searchAll('회의 일정', people.slice(0, 5))
    await searchAll('Deploy  PLAN in:room', people)
    await searchAll('private diary', people.slice(0, 4))
    // One person, however often, is one.
    for (let nth = 0; nth < 3; nth++) await searchAll('private diary', people.slice(0, 1))
    await searchAll('바보 project', people)
    await searchAll('alice@example.org', people)
    await searchAll('010-1234-5678', people)
    expect((await keep((text) => text.includes('바보')))!.built.map(({ tree }) => tree)).toEqual(['NAMES', 'TERMS'])
    await swapped()
    for (const typed of ['회', 'ㅎㅇ', 'ghl', '일저', 'ㅇㅈ', '회의일']) expect(await terms(typed), typed).toEqual(['회의 일정'])
    for (const typed of ['d', 'DEPL', 'plan', 'deploy p', 'ㅇ데']) expect(await terms(typed), typed).toContain('deploy plan')
    for (const typed of ['priv', 'diary', 'private diary', '바', 'proj', 'alice', '010', 'room', 'in:', 'x']) {
      expect(await terms(typed), typed).toEqual([])
    }
    // Most people first.
    expect(await terms('')).toEqual(['deploy plan', '회의 일정'])
    const nodes = await database.run<{ entries: string }>(`select entries from suggestion_nodes where kind = 'TERM'`, [])
    expect(nodes.filter(({ entries }) => /private|diary|바보/.test(entries))).toEqual([])
  })

  test('stand below people and channels, with some places kept for them', async () => {
    await newChannel(alice, { kind: 'PUBLIC', name: 'deployments' })
    expect(await suggest(alice, 'deploy')).toEqual(['#deployments', 'deploy plan'])
    expect(await suggest(alice, 'deploy', { first: 1 })).toEqual(['#deployments'])
  })

  test('are forgotten after a month', async () => {
    await database.run(`update search_samples set day = day - 31`, [])
    await keep()
    await swapped()
    expect(await terms('')).toEqual([])
    expect(await database.run('select from search_samples', [])).toEqual([])
  })

  test('are counted of first pages that find something, and never in the way of a search', async () => {
    const [person] = people as [Person]
    await searchAll('nothingatall', [person])
    await searchAll('from:searcher0', [person])
    expect(await samples()).toEqual([])
    await searchAll('"회의   일정" from:me', [person])
    await searchAll('회의', [person])
    expect(await samples()).toEqual(['회의', '회의 일정'])
    // With its table away everything goes on.
    await database.run('alter table search_samples rename to search_samples_away', [])
    try {
      const found = await search(person, 'deploy', { channelId })
      expect(found).toBeDefined()
      await app.app.services.searchSamples.flush()
    } finally {
      await database.run('alter table search_samples_away rename to search_samples', [])
    }
  })

  async function samples() {
    const person = parseGlobalId(people[0]!.id) as { userId: string }
    const rows = await database.run<{ term: string }>(
      'select term from search_samples where user_id = $1 order by term collate "C"',
      [person.userId],
    )
    return rows.map(({ term }) => term)
  }
})

test('workers keep all of it up by themselves', async () => {
  const own = await startTestApp()
  try {
    await own.startWorkers()
    const trees = () => own.app.database.run('select name from suggestion_trees where generation > 0 order by name', [])
    await expect.poll(trees, { timeout: 20_000 }).toEqual([{ name: 'NAMES' }, { name: 'TERMS' }])
  } finally {
    await own.stop()
  }
}, 40_000)
