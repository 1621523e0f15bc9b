import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startEmbeddedPostgres } from '../server/lib/embedded-postgres.ts'
import { openDatabase } from './connection.ts'
import { checkRequirements } from './requirements.ts'

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
