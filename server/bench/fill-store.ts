import { join } from 'node:path'
import { bucketAt } from '../message-store/bucket-time.ts'
import { ensureBuckets } from '../message-store/partitions.ts'
import { type BenchStore, startBenchStore } from './bench-store.ts'
import { copyMessages, filledTables } from './fill-messages.ts'
import { years } from './filled.ts'
import { withoutIndexes } from './indexes.ts'
import type { BenchOptions } from './options.ts'
import { readSentences } from './sentences.ts'

/**
 * Starts a store that holds so many messages: one that was kept, or one that is filled now, which is kept where the
 * options say so. What stands in it is told in `filled.ts`.
 */
export async function openFilledStore(messages: number, { keep, data }: BenchOptions): Promise<BenchStore> {
  const folder = keep === null ? null : join(keep, `store-${messages}${data === null ? '' : '-data'}`)
  const store = await startBenchStore(folder)
  try {
    await store.admin.run('create table if not exists filled (messages integer)', [])
    const [filled] = await store.admin.run<{ messages: number | null }>('select messages from filled', [])
    if (filled?.messages === null) throw new Error(`${folder} was never filled to its end: remove it`)
    if (filled === undefined) {
      await store.admin.run('insert into filled values (null)', [])
      await fillStore(store, messages, readSentences(data))
      await store.admin.run('update filled set messages = $1', [messages])
    }
    return store
  } catch (error) {
    await store.stop()
    throw error
  }
}

/** For the length of the filling: it makes as much of the log as of the store, and is analysed when it is done. */
const settings = { max_wal_size: '8GB', maintenance_work_mem: '512MB', autovacuum: 'off' }

/**
 * Fills a store as ten years of chat would have; what stood in it before is gone. Indexes are made again when all is
 * in, unless they are kept, which takes several times as long and leaves them as sends do. Says on stderr how far it is.
 */
export async function fillStore(
  { admin, url }: BenchStore,
  messages: number,
  sentences: readonly string[],
  { indexes = 'made again' }: { indexes?: 'made again' | 'kept' } = {},
): Promise<void> {
  const started = performance.now()
  const tell = (what: string) => {
    const seconds = (performance.now() - started) / 1_000
    process.stderr.write(`${seconds.toFixed(0)} s: ${what}\n`)
  }
  const now = Date.now()
  await ensureBuckets(admin, bucketAt(now) - years * 12 + 1, bucketAt(now) + 2)
  await admin.run(`truncate ${filledTables.join(', ')}`, [])
  for (const [name, value] of Object.entries(settings)) await admin.run(`alter system set ${name} = '${value}'`, [])
  await admin.run('select pg_reload_conf()', [])
  const copy = async () => {
    const spell = (count: number) => count.toLocaleString('en')
    await copyMessages(url, messages, sentences, now, (done) => tell(`${spell(done)} of ${spell(messages)} messages`))
    tell('messages are in')
  }
  if (indexes === 'kept') await copy()
  else await withoutIndexes(admin, filledTables, copy, (name) => tell(`made ${name}`))
  await admin.run('vacuum (freeze, analyze)', [])
  for (const name of Object.keys(settings)) await admin.run(`alter system reset ${name}`, [])
  await admin.run('select pg_reload_conf()', [])
  await admin.run('checkpoint', [])
  tell('filled')
}
