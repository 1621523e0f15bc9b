import { compact } from '../message-store/compact.ts'
import type { BenchStore } from './bench-store.ts'
import { fillStore } from './fill-store.ts'
import { startBenchStore } from './bench-store.ts'
import type { BenchOptions } from './options.ts'
import { readSentences } from './sentences.ts'

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
    const [content] = await store.admin.run<{ bytes: string }>('select sum(octet_length(content)) as bytes from messages', [])
    process.stdout.write(`\nBytes for each of ${count.toLocaleString('en')} messages (${(Number(content!.bytes) / count).toFixed(1)} of text)\n`)
    process.stdout.write(`  ${''.padEnd(56)} ${'as sent'.padStart(9)} ${'compact'.padStart(9)}\n`)
    let [sum, compactSum] = [0, 0]
    for (const [name, bytes] of hot) {
      const after = compactSizes.get(name) ?? 0
      sum += bytes
      compactSum += after
      process.stdout.write(`  ${name.padEnd(56)} ${(bytes / count).toFixed(1).padStart(9)} ${(after / count).toFixed(1).padStart(9)}\n`)
    }
    process.stdout.write(
      `  ${'all'.padEnd(56)} ${(sum / count).toFixed(1).padStart(9)} ${(compactSum / count).toFixed(1).padStart(9)}   ${(compactSum / sum).toFixed(2)}\n`,
    )
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
