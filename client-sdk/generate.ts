/**
 * Writes client-sdk/generated/operations.ts from the printed schema and client-sdk/operations/*.graphql.
 *
 *   npm run generate:client              writes the file
 *   npm run generate:client -- --check   writes nothing, exits 1 when the committed file is stale
 *   --schema FILE                        another schema than schema/schema.graphql
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { codegen } from '@graphql-codegen/core'
import * as operationTypes from '@graphql-codegen/typescript-operations'
import { buildSchema, parse, printSchema, Source } from 'graphql'
import * as documents from './generate-documents.ts'

const here = import.meta.dirname
const output = join(here, 'generated', 'operations.ts')

const { values: options } = parseArgs({
  options: {
    schema: { type: 'string', default: join(here, '..', 'schema', 'schema.graphql') },
    check: { type: 'boolean', default: false },
  },
})

const generated = await generate(readFileSync(options.schema, 'utf8'))

if (!options.check) {
  writeFileSync(output, generated)
} else if (generated !== readIfThere(output)) {
  console.error('client-sdk/generated/operations.ts is stale: run `npm run generate:client` and commit the result.')
  process.exitCode = 1
}

/** The text of the generated file for the schema printed in `sdl`. */
async function generate(sdl: string): Promise<string> {
  const schema = buildSchema(sdl)
  return codegen({
    filename: output,
    schema: parse(printSchema(schema)),
    schemaAst: schema,
    documents: readOperations(),
    config: {
      scalars: { ID: 'string', DateTime: 'string', URL: 'string' },
      // A scalar that nobody thought of must not slip through as `any`.
      strictScalars: true,
      enumType: 'string-literal',
      // `__typename` is in the type where an operation asks for it, as it is in the answer.
      skipTypename: true,
      arrayInputCoercion: false,
      // Results are named by their fragments, and every field of a fragment is there to be read: no masking.
      inlineFragmentTypes: 'combine',
      printFieldsOnNewLines: true,
    },
    plugins: [{ operationTypes: {} }, { documents: {} }],
    pluginMap: { operationTypes, documents },
  })
}

/** The hand-written operations, in an order that does not depend on the file system. */
function readOperations() {
  return globSync(join(here, 'operations', '*.graphql'))
    .toSorted()
    .map((location) => {
      const source = new Source(readFileSync(location, 'utf8'), basename(location))
      return { location, document: parse(source) }
    })
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
