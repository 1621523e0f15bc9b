import { readdirSync, readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const project = fileURLToPath(new URL('../', import.meta.url))
const folders = ['client-sdk', 'drizzle', 'schema', 'server', 'workers']

/** What Node does with a file before it runs it. */
const strip = (source: string) => stripTypeScriptTypes(source, { mode: 'strip' })

// Vitest transforms what it loads, and so would let pass what Node cannot run.
test('Node can run every file by leaving out its types', () => {
  const files = folders.flatMap((folder) =>
    readdirSync(join(project, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(project, folder, file)),
  )
  const sources = files.filter((file) => file.endsWith('.ts'))
  expect(sources.length).toBeGreaterThan(100)
  const refused = sources.filter((file) => {
    try {
      return strip(readFileSync(file, 'utf8')) === ''
    } catch {
      return true
    }
  })
  expect(refused).toEqual([])
})

test.each(['enum Kind { A }', 'class A { constructor(private b: string) {} }', 'namespace N { export const a = 1 }'])(
  'it could not run %s',
  (source) => {
    expect(() => strip(source)).toThrow('not supported in strip-only mode')
  },
)
