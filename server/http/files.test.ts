import { once } from 'node:events'
import { createServer, request, type Server } from 'node:http'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDiskFiles, type DiskFiles } from '../files/disk-files.ts'
import { addressSecret } from '../files/signed-address.ts'
import { createFilesRoute } from './files.ts'
import { readRange } from './files-range.ts'
import { createOrigins } from './origins.ts'

const app = 'https://app.example.org'
const body = Buffer.from('0123456789')

let folder: string
let server: Server
let files: DiskFiles
let url: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'maru-disk-'))
  server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const baseUrl = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  files = createDiskFiles({ folder, baseUrl, secret: addressSecret('a secret') })
  const route = createFilesRoute({ files, origins: createOrigins(null, [app]), idleMs: 300, uploadMs: 1_500 })
  server.on('request', (request, response) => void route(request, response).catch(() => response.destroy()))
  await files.write('a', body, 'video/mp4')
  url = (await files.signDownload({ key: 'a', contentType: 'video/mp4', filename: null })).url
})
afterAll(async () => {
  server.closeAllConnections()
  server.close()
  await rm(folder, { recursive: true })
})

const signUpload = (key: string, byteSize: number) =>
  files.signUpload({ key, contentType: 'video/mp4', byteSize, expiresAt: new Date(Date.now() + 60_000) })

test('a file is served as what it is, may be kept, and can do nothing', async () => {
  const { status, headers } = await fetch(url)
  expect(status).toBe(200)
  expect(Object.fromEntries(headers)).toMatchObject({
    'accept-ranges': 'bytes',
    'content-length': '10',
    'content-security-policy': "sandbox; default-src 'none'",
    'content-type': 'video/mp4',
    'cross-origin-resource-policy': 'cross-origin',
    'x-content-type-options': 'nosniff',
    vary: 'Origin',
  })
  const [, seconds] = /^private, max-age=(\d+), immutable$/.exec(headers.get('cache-control')!)!
  expect(Number(seconds)).toBeGreaterThan(3_590)
})

test('HEAD says the same and sends nothing', async () => {
  const answer = await fetch(url, { method: 'HEAD', headers: { range: 'bytes=0-1' } })
  expect([answer.status, answer.headers.get('content-length'), await answer.text()]).toEqual([200, '10', ''])
})

test('what a client has is not sent again, and a part of another file is not sent at all', async () => {
  const etag = (await fetch(url)).headers.get('etag')!
  const get = async (headers: Record<string, string>) => {
    const answer = await fetch(url, { headers })
    return [answer.status, await answer.text()]
  }
  expect(await get({ 'if-none-match': `"x", W/${etag}` })).toEqual([304, ''])
  expect(await get({ 'if-none-match': '"x"' })).toEqual([200, '0123456789'])
  expect(await get({ 'if-range': etag, range: 'bytes=1-2' })).toEqual([206, '12'])
  expect(await get({ 'if-range': '"x"', range: 'bytes=1-2' })).toEqual([200, '0123456789'])
})

test('a range is read as RFC 9110 says', () => {
  expect(readRange('bytes=0-0', 10)).toEqual({ start: 0, end: 0 })
  expect(readRange('bytes=5-', 10)).toEqual({ start: 5, end: 9 })
  expect(readRange('bytes=5-500', 10)).toEqual({ start: 5, end: 9 })
  expect(readRange('bytes=-3', 10)).toEqual({ start: 7, end: 9 })
  expect(readRange('bytes=-30', 10)).toEqual({ start: 0, end: 9 })
  for (const range of ['bytes=10-', 'bytes=-0', 'bytes=99-100']) expect(readRange(range, 10), range).toBe('unsatisfiable')
  for (const range of [undefined, '', 'bytes=', 'bytes=-', 'bytes=5-4', 'bytes=0-1,3-4', 'lines=0-1', 'bytes=a-b']) {
    expect(readRange(range, 10), range).toBeNull()
  }
})

test('a page of an allowed site may put and fetch, and one of another site may not', async () => {
  const preflight = (origin: string) => fetch(url, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'PUT' } })
  const allowed = await preflight(app)
  expect(allowed.status).toBe(204)
  expect(allowed.headers.get('access-control-allow-origin')).toBe(app)
  expect(allowed.headers.get('access-control-allow-methods')).toContain('PUT')
  expect(allowed.headers.get('access-control-allow-headers')).toContain('*')
  expect((await preflight('https://other.example')).headers.has('access-control-allow-origin')).toBe(false)
  const got = await fetch(url, { headers: { origin: app } })
  expect(got.headers.get('access-control-allow-origin')).toBe(app)
  expect(got.headers.get('access-control-expose-headers')).toContain('content-range')
})

test('a refusal says why, in the form of a GraphQL answer', async () => {
  const answer = await fetch(`${url}x`)
  expect(answer.status).toBe(403)
  expect(await answer.json()).toMatchObject({ errors: [{ extensions: { code: 'FORBIDDEN' } }] })
  expect(answer.headers.get('cache-control')).toBe('no-store')
  const gone = await files.signDownload({ key: 'gone', contentType: 'image/png', filename: null })
  expect((await fetch(gone.url)).status).toBe(404)
  expect((await fetch(url, { method: 'POST' })).status).toBe(405)
})

test('a part that nobody sends on with is given up, and so is one that comes too slowly; nothing of either is kept', async () => {
  for (const [name, everyMs] of [['stalled', 10_000], ['slow', 100]] as const) {
    const signed = await signUpload(name, 1_000)
    const upload = request(signed.url, { method: 'PUT', headers: { 'content-type': 'video/mp4', 'content-length': 1_000 } })
    const ended = new Promise((resolve) => upload.once('error', resolve).once('response', resolve))
    upload.write('x')
    const timer = setInterval(() => upload.write('x'), everyMs)
    expect(await ended).toBeInstanceOf(Error)
    clearInterval(timer)
    upload.destroy()
    expect(await files.head(name)).toBeNull()
  }
  await expect.poll(() => readdir(join(folder, 'partial'))).toEqual([])
})

test('whoever begins anew at an address ends what was begun there before', async () => {
  const signed = await signUpload('again', 4)
  const headers = { 'content-type': 'video/mp4', 'content-length': 4 }
  const first = request(signed.url, { method: 'PUT', headers })
  const ended = new Promise((resolve) => first.once('error', resolve).once('response', resolve))
  const partial = () => readdir(join(folder, 'partial'))
  first.write('x')
  await expect.poll(partial).toHaveLength(1)
  const second = request(signed.url, { method: 'PUT', headers })
  second.write('g')
  expect(await ended).toBeInstanceOf(Error)
  await expect.poll(partial).toHaveLength(1)
  second.end('ood')
  const [answer] = await once(second, 'response')
  expect(answer.statusCode).toBe(200)
  answer.resume()
  expect(await files.head('again')).toMatchObject({ byteSize: 4 })
  expect(await partial()).toEqual([])
})

test('what comes after the agreed length is no part of the file', async () => {
  const signed = await signUpload('exact', 4)
  const { hostname, port, pathname, search } = new URL(signed.url)
  const socket = connect(Number(port), hostname)
  socket.write(`PUT ${pathname}${search} HTTP/1.1\r\nHost: x\r\nContent-Type: video/mp4\r\nContent-Length: 4\r\n\r\ngoodEVIL`)
  await once(socket, 'data')
  await sleep(50)
  socket.destroy()
  // Whether the whole request was refused for what follows it is the parser's affair.
  const kept = await files.head('exact')
  expect(kept?.byteSize ?? 4).toBe(4)
})
