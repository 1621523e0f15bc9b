import type { Database } from '../../drizzle/connection.ts'

type Node = {
  'Node Type': string
  'Relation Name'?: string
  'Actual Loops'?: number
  'Shared Hit Blocks'?: number
  'Shared Read Blocks'?: number
  Plans?: Node[]
}

/** What one statement looked at. */
export type Look = {
  /** The comment that it begins with, or else its first words. */
  name: string
  /** Partitions of messages of which something was read. */
  touched: string[]
  /** Partitions that had to be considered at all while it ran. */
  planned: number
  /** Pages of 8 KB that were looked at. */
  blocks: number
}

/** Runs `work`, and explains each statement that it ran, with its parameters, prepared as it is in earnest. */
export async function looksOf(database: Database, work: (database: Database) => Promise<unknown>): Promise<Look[]> {
  const ran: { text: string; parameters: readonly unknown[] }[] = []
  await work({
    ...database,
    run(text, parameters) {
      ran.push({ text, parameters })
      return database.run(text, parameters)
    },
  })
  const looks: Look[] = []
  for (const { text, parameters } of ran) {
    // The second time: what a connection reads of the catalogue at first is no part of the statement.
    await explain(database, text, parameters)
    looks.push(await explain(database, text, parameters))
  }
  return looks
}

/** What a statement with these parameters looks at. */
export async function explain(database: Database, text: string, parameters: readonly unknown[]): Promise<Look> {
  const [row] = await database.run<{ 'QUERY PLAN': [{ Plan: Node }] }>(
    `explain (analyze, buffers, timing off, format json) ${text}`,
    parameters,
  )
  const { Plan: plan } = row!['QUERY PLAN'][0]
  const nodesOf = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(nodesOf)]
  const partitions = nodesOf(plan).filter((node) => /^messages_\d/.test(node['Relation Name'] ?? ''))
  const touched = partitions.filter((node) => (node['Actual Loops'] ?? 0) > 0).map((node) => node['Relation Name']!)
  return {
    name: /^\/\* (.*?) \*\//.exec(text)?.[1] ?? text.slice(0, 40),
    touched: [...new Set(touched)].toSorted(),
    planned: new Set(partitions.map((node) => node['Relation Name'])).size,
    blocks: (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0),
  }
}
