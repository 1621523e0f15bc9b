import { once } from 'node:events'
import type { Writable } from 'node:stream'
import postgres from 'postgres'

/** Rows on their way into one table, by COPY. */
export type Sink = {
  /** A row; text in it is spelt by `spellText` already. */
  put(...fields: (string | number | null)[]): void
  /** Resolves when there is room for more; to be awaited from time to time. */
  room(): Promise<void>
  /** Resolves when all is stored. */
  end(): Promise<void>
}

/** Rows that are handed to the driver at once. */
const chunk = 2_000

/** Begins to fill a table, on a connection of its own. */
export async function copyInto(url: string, table: string, columns: string): Promise<Sink> {
  const sql = postgres(url, { max: 1, onnotice: () => {}, connection: { synchronous_commit: 'off' } })
  const stream: Writable = await sql.unsafe(`copy ${table} (${columns}) from stdin`).writable()
  let rows: string[] = []
  let failure: unknown
  stream.on('error', (error) => {
    failure = error
  })
  const flush = () => {
    if (rows.length > 0) stream.write(`${rows.join('\n')}\n`)
    rows = []
  }
  return {
    put(...fields) {
      rows.push(fields.map((field) => field ?? '\\N').join('\t'))
      if (rows.length === chunk) flush()
    },
    async room() {
      if (failure !== undefined) throw failure
      if (stream.writableNeedDrain) await once(stream, 'drain')
    },
    async end() {
      flush()
      stream.end()
      await once(stream, 'finish')
      await sql.end()
    },
  }
}

/** Text as COPY spells it. */
export const spellText = (text: string): string =>
  text.replace(/[\\\n\r\t]/g, (found) => ({ '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' })[found]!)
