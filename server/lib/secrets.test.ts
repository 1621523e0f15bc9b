import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadSecrets } from './secrets.ts'

const nothingGiven = { jwtSecret: null }

let dataDir: string

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'maru-secrets-'))
})

afterEach(() => rm(dataDir, { recursive: true }))

test('a secret is made once and found again, for its owner only', async () => {
  const folder = join(dataDir, 'not/yet/there')
  const { jwtSecret } = await loadSecrets(folder, nothingGiven)
  expect(jwtSecret).toMatch(/^[\w+/]{64}$/)
  expect(await loadSecrets(folder, nothingGiven)).toEqual({ jwtSecret })
  expect((await stat(join(folder, 'jwt-secret'))).mode & 0o777).toBe(0o600)
  expect(await readdir(folder)).toEqual(['jwt-secret'])
})

test('two folders have two secrets', async () => {
  const one = await loadSecrets(join(dataDir, 'one'), nothingGiven)
  const two = await loadSecrets(join(dataDir, 'two'), nothingGiven)
  expect(one.jwtSecret).not.toBe(two.jwtSecret)
})

test('a secret that is given is taken, and none is kept', async () => {
  const jwtSecret = 'correct horse battery staple, twice over'
  expect(await loadSecrets(dataDir, { jwtSecret })).toEqual({ jwtSecret })
  expect(await readdir(dataDir)).toEqual([])
})

test('starters that race all get the same', async () => {
  const script = `
    import { loadSecrets } from ${JSON.stringify(join(import.meta.dirname, 'secrets.ts'))}
    const all = Array.from({ length: 20 }, () => loadSecrets(${JSON.stringify(dataDir)}, { jwtSecret: null }))
    console.log((await Promise.all(all)).map(({ jwtSecret }) => jwtSecret).join('\\n'))`
  const start = () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
  const outputs = await Promise.all([start(), start(), start(), start()])
  const secrets = outputs.flatMap(({ stdout }) => stdout.trim().split('\n'))
  expect(secrets).toHaveLength(80)
  expect(new Set(secrets).size).toBe(1)
  expect(await readdir(dataDir)).toEqual(['jwt-secret'])
})

test('a broken file is refused with its remedy', async () => {
  await writeFile(join(dataDir, 'jwt-secret'), '')
  await expect(loadSecrets(dataDir, nothingGiven)).rejects.toThrow(/jwt-secret holds fewer than 32 .* delete the file/s)
})
