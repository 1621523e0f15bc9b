import { compact } from '../message-store/compact.ts'
import { type BenchStore, startBenchStore } from './bench-store.ts'
import { fillStore } from './fill-store.ts'
import type { BenchOptions } from './options.ts'
import { readSentences } from './sentences.ts'

/** What takes less for each message is part of the sum, but not of the list. */
const leastShown = 0.5

/** Bytes on disk for each message, by table and index: as sends leave it, and compacted. */
export async function benchStoreSize({ messages, data }: BenchOptions): Promise<void> {
  const count = Math.min(...messages)
  const store = await startBenchStore()
  try {
    // In the order of time, with all indexes there, as sends do it.
    await fillStore(store, count, readSentences(data), { indexes: 'kept' })
    const hot = await sizesOf(store)
    const compacted = await compact(store.admin, { afterMonths: 2 })
    process.stderr.write(`${compacted} months compacted\n`)
    const compactSizes = await sizesOf(store)
    const [text] = await store.admin.run<{ bytes: string }>('select sum(octet_length(content)) as bytes from messages', [])
    const sum = (sizes: Map<string, number>) => [...sizes.values()].reduce((one, other) => one + other, 0)
    const each = (bytes: number) => (bytes / count).toFixed(1)
    const print = (name: string, ...figures: string[]) =>
      process.stdout.write(`  ${name.padEnd(56)}${figures.map((figure) => figure.padStart(10)).join('')}\n`)
    process.stdout.write(`\nBytes for each of ${count.toLocaleString('en')} messages, ${each(Number(text!.bytes))} of them text\n`)
    print('', 'as sent', 'compact')
    for (const [name, bytes] of hot) {
      if (bytes / count >= leastShown) print(name, each(bytes), each(compactSizes.get(name) ?? 0))
    }
    print('all', each(sum(hot)), each(sum(compactSizes)), (sum(compactSizes) / sum(hot)).toFixed(2))
  } finally {
    await store.stop()
  }
}

/** Bytes by table and index; those of partitions count for the whole. */
async function sizesOf({ admin }: BenchStore): Promise<Map<string, number>> {
  const rows = await admin.run<{ name: string; bytes: string }>(
    `with part as (
       select inhrelid as id from pg_inherits join pg_class on pg_class.oid = inhparent where relname = 'messages'
     ), named as (
       select c.oid, case when c.oid in (select id from part) then 'messages' else c.relname end as name, c.relkind
       from pg_class c where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r'
     )
     select name, sum(pg_table_size(oid)) as bytes from named group by name
     union all
     select n.name || ': ' || (
       select string_agg(a.attname, ', ' order by a.attnum) from pg_attribute a where a.attrelid = i.indexrelid
     ), sum(pg_relation_size(i.indexrelid))
     from pg_index i join named n on n.oid = i.indrelid group by 1
     order by bytes desc`,
    [],
  )
  return new Map(rows.map((row) => [row.name, Number(row.bytes)]))
}
