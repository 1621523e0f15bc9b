import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startEmbeddedPostgres } from '../server/lib/embedded-postgres.ts'
import { createTestDatabase } from '../server/testing/test-app.ts'
import { openDatabase } from './connection.ts'
import { migrate } from './migrate.ts'
import { checkRequirements, lockShortage } from './requirements.ts'

const open = (url: string) => openDatabase({ url, poolSize: 1, unavailable: () => new Error('away') })

test('a database with no room for every script is refused with the remedy', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'maru-test-'))
  const postgres = await startEmbeddedPostgres({ dataDir })
  try {
    const good = open(postgres.url)
    await checkRequirements(good)
    await good.run(`create database latin encoding 'LATIN1' locale_provider libc locale 'C' template template0`, [])
    await good.close()
    const url = new URL(postgres.url)
    url.pathname = '/latin'
    const latin = open(url.href)
    await expect(checkRequirements(latin)).rejects.toThrow(/LATIN1.*create database maru encoding 'UTF8'/)
    await latin.close()
  } finally {
    await postgres.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
})

test('who has too few locks for its months and connections is told how many it needs', async () => {
  const database = openDatabase({ url: await createTestDatabase(), poolSize: 1, unavailable: () => new Error('away') })
  await migrate(database)
  expect(await lockShortage(database, 100)).toBeNull()
  await database.run('insert into buckets (bucket, terms_version) select n, 1 from generate_series(0, 999) n', [])
  expect(await lockShortage(database, 10)).toBeNull()
  expect(await lockShortage(database, 10_000)).toMatch(/may need 40,000,000 locks.* set max_locks_per_transaction to \d+ or more/)
  await database.close()
})
