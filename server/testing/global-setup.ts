import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startEmbeddedPostgres } from '../lib/embedded-postgres.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The Postgres that all tests share, each test app in a schema of its own. */
    databaseUrl: string
  }
}

/** Starts the Postgres that tests run on: the one at TEST_DATABASE_URL, or an embedded one. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env.TEST_DATABASE_URL
  if (given !== undefined && given !== '') {
    project.provide('databaseUrl', given)
    return async () => {}
  }
  const dataDir = await mkdtemp(join(tmpdir(), 'maru-test-'))
  const postgres = await startEmbeddedPostgres({ dataDir, maxConnections: 300 })
  project.provide('databaseUrl', postgres.url)
  return async () => {
    await postgres.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}
