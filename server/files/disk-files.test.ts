import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createFilesRoute } from '../http/files.ts'
import { createOrigins } from '../http/origins.ts'
import { createDiskFiles } from './disk-files.ts'
import { testFiles } from './files.conformance.ts'
import { addressSecret } from './signed-address.ts'

const secret = addressSecret('the same for all processes of a test')

testFiles('disk', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'maru-disk-'))
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const baseUrl = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const open = (now = Date.now) => createDiskFiles({ folder, baseUrl, secret, now })
  const route = createFilesRoute({ files: open(), origins: createOrigins(null, []) })
  server.on('request', (request, response) => void route(request, response).catch(() => response.destroy()))
  return {
    open,
    async stop() {
      server.closeAllConnections()
      server.close()
      await rm(folder, { recursive: true })
    },
  }
})

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'maru-disk-'))
})
afterAll(() => rm(folder, { recursive: true }))
const open = () => createDiskFiles({ folder, baseUrl: () => 'http://localhost', secret })

test('what cannot be written to its end leaves nothing, not even a part', async () => {
  const files = open()
  async function* broken() {
    yield randomBytes(100_000)
    throw new Error('cut')
  }
  await expect(files.write('a', Readable.from(broken()), 'image/png')).rejects.toThrow('cut')
  expect(await files.head('a')).toBeNull()
  expect(await readdir(join(folder, 'partial'))).toEqual([])
})

test('what a crash has left half written is removed at a later start, and not what is under way', async () => {
  const [old, young] = ['old', 'young'].map((name) => join(folder, 'partial', name)) as [string, string]
  await Promise.all([writeFile(old, 'x'), writeFile(young, 'x')])
  const longAgo = new Date(Date.now() - 25 * 3_600_000)
  await utimes(old, longAgo, longAgo)
  await open().write('b', Buffer.from('x'), 'text/plain')
  expect(await readdir(join(folder, 'partial'))).toEqual(['young'])
})
