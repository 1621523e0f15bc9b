import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { lexicographicSortSchema, printSchema } from 'graphql'
import { schema } from './index.ts'

const file = fileURLToPath(new URL('./schema.graphql', import.meta.url))

/** The schema as the file beside this one holds it. */
export const printed = (): string => `${printSchema(lexicographicSortSchema(schema))}\n`

/** Whether the committed file is what the code says. */
export const isStale = (): boolean => readFileSync(file, 'utf8') !== printed()

// `npm run print:schema` writes the file.
if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(file, printed())
