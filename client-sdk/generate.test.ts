import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const here = import.meta.dirname
const node = (...args: string[]) => spawnSync(process.execPath, args, { cwd: here, encoding: 'utf8' })

it('the generated file is what the schema and the operations say', () => {
  expect(node('generate.ts', '--check')).toMatchObject({ status: 0, stderr: '' })
})

it('a stale file fails the check, with the remedy', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'maru-client-'))
  const copy = join(folder, 'schema.graphql')
  const schema = await readFile(join(here, '..', 'schema', 'schema.graphql'), 'utf8')
  await writeFile(copy, schema.replace('enum ChannelKind {', 'enum ChannelKind {\n  NEW_KIND'))
  const { status, stderr } = node('generate.ts', '--check', '--schema', copy)
  expect(status).toBe(1)
  expect(stderr).toContain('npm run generate:client')
  await rm(folder, { recursive: true })
})

it('the client runs by type stripping alone', () => {
  expect(node('index.ts')).toMatchObject({ status: 0, stderr: '' })
})
