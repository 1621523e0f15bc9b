import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { MaruError } from '../errors.ts'
import type { Files, SignedUpload } from './files.ts'
import { windowMs } from './address-window.ts'

/** What an engine is tested with. Each `open` is another process that shares the files. */
export type Engine = { open(now?: () => number): Files; stop(): Promise<void> }

const hour = 3_600_000
const inAnHour = () => new Date(Date.now() + hour)
const newKey = () => `test/${randomUUID()}`

/** Sends a body to where it was signed for, as a browser does, which lets nobody else set the length. */
function put({ method, url, headers }: SignedUpload, body: Buffer, others: Record<string, string> = {}) {
  const free = headers.filter(({ name }) => name !== 'Content-Length').map(({ name, value }) => [name.toLowerCase(), value])
  return fetch(url, { method, body: Uint8Array.from(body), headers: { ...Object.fromEntries(free), ...others } })
}

const bytesOf = async (stream: Promise<Readable>) => buffer(await stream)

/** The same address with another value of a parameter, whatever its engine calls it. */
function tampered(url: string, name: RegExp, change: (value: string) => string): string {
  const changed = new URL(url)
  const found = [...changed.searchParams.keys()].find((key) => name.test(key))
  if (found === undefined) throw new Error(`No ${name} in ${url}`)
  changed.searchParams.set(found, change(changed.searchParams.get(found)!))
  return changed.href
}

const another = (text: string) => (text.startsWith('a') ? 'b' : 'a') + text.slice(1)

/** What every engine of files has to pass. */
export function testFiles(name: string, start: () => Promise<Engine>, startMs = 20_000): void {
  describe(`${name}: the contract of files`, () => {
    let engine: Engine
    let files: Files
    beforeAll(async () => {
      engine = await start()
      files = engine.open()
    }, startMs)
    afterAll(() => engine?.stop())

    const sign = (key: string, byteSize: number, contentType = 'image/png') =>
      files.signUpload({ key, contentType, byteSize, expiresAt: inAnHour() })
    const isRefused = async (answer: Promise<Response>, key: string) => {
      const { status } = await answer
      expect(status).toBeGreaterThanOrEqual(400)
      expect(status).toBeLessThan(500)
      expect(await files.head(key)).toBeNull()
    }

    test('keeps bytes and their type, from memory, from a stream and from a file', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'maru-files-'))
      const body = randomBytes(100_000)
      const path = join(folder, 'body')
      await writeFile(path, body)
      for (const source of [body, Readable.from([body.subarray(0, 7), body.subarray(7)]), { path }]) {
        const key = newKey()
        await files.write(key, source, 'video/mp4')
        expect(await files.head(key)).toEqual({ byteSize: body.length, contentType: 'video/mp4' })
        expect((await bytesOf(files.read(key))).equals(body)).toBe(true)
      }
      await rm(folder, { recursive: true })
    })

    test('reads parts, both ends included, and no further than the end', async () => {
      const key = newKey()
      await files.write(key, Buffer.from('0123456789'), 'text/plain')
      const part = async (start: number, end: number) => (await bytesOf(files.read(key, { start, end }))).toString()
      expect(await part(0, 0)).toBe('0')
      expect(await part(3, 5)).toBe('345')
      expect(await part(8, 99)).toBe('89')
      expect(await part(10, 20)).toBe('')
    })

    test('what another takes the place of is whole, and is the other', async () => {
      const key = newKey()
      await files.write(key, Buffer.alloc(50_000, 'a'), 'text/plain')
      const old = await files.read(key)
      await files.write(key, Buffer.from('b'), 'image/png')
      const read = await buffer(old)
      expect(new Set(read)).toEqual(new Set([97]))
      expect(read).toHaveLength(50_000)
      expect(await files.head(key)).toEqual({ byteSize: 1, contentType: 'image/png' })
    })

    test('what is not there is NOT_FOUND to readers and movers, and no error to who removes it', async () => {
      const key = newKey()
      expect(await files.head(key)).toBeNull()
      await expect(files.read(key)).rejects.toMatchObject({ code: 'NOT_FOUND' } satisfies Partial<MaruError>)
      await expect(files.move(key, newKey())).rejects.toMatchObject({ code: 'NOT_FOUND' })
      await files.write(key, Buffer.from('x'), 'text/plain')
      await files.remove([key, newKey(), newKey()])
      await files.remove([key])
      await files.remove([])
      expect(await files.head(key)).toBeNull()
    })

    test('a key that could lead elsewhere is none', async () => {
      for (const key of ['', '/x', 'x/', 'a//b', '../x', 'a/../b', 'a/.b', 'a b', 'a?b', 'ä', 'a\0b', 'x'.repeat(201)]) {
        await expect(files.write(key, Buffer.from('x'), 'text/plain'), key).rejects.toThrow(/no key/)
        await expect(files.read(key), key).rejects.toThrow(/no key/)
      }
    })

    test('a client puts a file where it was signed for, and fetches it with the right headers', async () => {
      const key = newKey()
      const body = randomBytes(5_000)
      expect((await put(await sign(key, body.length), body)).status).toBe(200)
      expect(await files.head(key)).toEqual({ byteSize: 5_000, contentType: 'image/png' })
      const { url, expiresAt } = await files.signDownload({ key, contentType: 'image/png', filename: null })
      expect(+expiresAt - Date.now()).toBeGreaterThanOrEqual(hour)
      const answer = await fetch(url)
      expect(answer.status).toBe(200)
      expect(answer.headers.get('content-type')).toBe('image/png')
      expect(answer.headers.get('content-disposition')).toBe('inline')
      expect(answer.headers.get('cache-control')).toContain('private')
      expect(Buffer.from(await answer.arrayBuffer()).equals(body)).toBe(true)
    })

    test('20 MB go in and out', async () => {
      const key = newKey()
      const body = randomBytes(20_000_000)
      expect((await put(await sign(key, body.length), body)).status).toBe(200)
      const { url } = await files.signDownload({ key, contentType: 'image/png', filename: null })
      expect(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(body)).toBe(true)
      expect((await bytesOf(files.read(key))).equals(body)).toBe(true)
    })

    test('a download is saved under its name, whatever it is written in', async () => {
      const key = newKey()
      await files.write(key, Buffer.from('x'), 'application/pdf')
      for (const filename of ['회의록 (최종).pdf', 'a "b" \\ c; d=e.pdf', "it's 100%*.pdf", '😀.pdf', 'plain.pdf']) {
        const { url } = await files.signDownload({ key, contentType: 'application/pdf', filename })
        const said = (await fetch(url)).headers.get('content-disposition')!
        const [, exact] = /^attachment; filename="[\x20-\x7e]*"; filename\*=UTF-8''([\w.~%!#$&+^`|-]+)$/.exec(said) ?? []
        expect(decodeURIComponent(exact ?? said)).toBe(filename)
      }
    })

    test('ranges are served, and what lies behind the end is not', async () => {
      const key = newKey()
      await files.write(key, Buffer.from('0123456789'), 'video/mp4')
      const { url } = await files.signDownload({ key, contentType: 'video/mp4', filename: null })
      const part = async (range: string) => {
        const answer = await fetch(url, { headers: { range } })
        return [answer.status, answer.headers.get('content-range'), answer.status === 206 ? await answer.text() : null]
      }
      expect(await part('bytes=2-4')).toEqual([206, 'bytes 2-4/10', '234'])
      expect(await part('bytes=7-')).toEqual([206, 'bytes 7-9/10', '789'])
      expect(await part('bytes=-2')).toEqual([206, 'bytes 8-9/10', '89'])
      expect((await part('bytes=10-'))[0]).toBe(416)
    })

    test('what was signed to be fetched cannot be put, and the other way round', async () => {
      const key = newKey()
      const { url } = await files.signDownload({ key, contentType: 'image/png', filename: null })
      expect((await fetch(url, { method: 'PUT', body: 'x', headers: { 'content-type': 'image/png' } })).status).toBe(403)
      expect((await fetch(url, { method: 'DELETE' })).status).toBeGreaterThanOrEqual(403)
      await files.write(key, Buffer.from('x'), 'image/png')
      expect((await fetch((await sign(key, 1)).url)).status).toBe(403)
      expect((await fetch(url, { method: 'DELETE' })).status).toBeGreaterThanOrEqual(403)
      expect(await files.head(key)).not.toBeNull()
    })

    test('another type or another length than was signed is refused, and nothing is kept', async () => {
      const body = randomBytes(1_000)
      const key = newKey()
      const signed = await sign(key, body.length)
      await isRefused(put(signed, body, { 'content-type': 'text/html' }), key)
      await isRefused(put(signed, body.subarray(1)), key)
      await isRefused(put(signed, Buffer.concat([body, body])), key)
      // Without a length nobody would know when to stop.
      const endless = fetch(signed.url, {
        method: 'PUT',
        body: Readable.toWeb(Readable.from([body])) as ReadableStream,
        headers: { 'content-type': 'image/png' },
        duplex: 'half',
      } as RequestInit)
      await isRefused(endless, key)
    })

    test('an address that was tampered with is refused', async () => {
      const body = Buffer.from('x')
      const [key, other] = [newKey(), newKey()]
      const signed = await sign(key, 1)
      await isRefused(put({ ...signed, url: tampered(signed.url, /signature$/i, another) }, body), key)
      await isRefused(put({ ...signed, url: signed.url.replace(key, other) }, body), other)
      await isRefused(put({ ...signed, url: tampered(signed.url, /expires$/i, (value) => `${value}0`) }, body), key)
      await files.write(key, body, 'text/plain')
      await files.write(other, body, 'text/plain')
      const { url } = await files.signDownload({ key, contentType: 'text/plain', filename: 'a.txt' })
      expect((await fetch(url)).status).toBe(200)
      for (const name of [/signature$/i, /expires$/i, /type$/i, /(filename|disposition)$/i]) {
        expect((await fetch(tampered(url, name, another))).status, String(name)).toBe(403)
      }
      expect((await fetch(url.replace(key, other))).status).toBe(403)
      expect((await fetch(url.split('?')[0]!)).status).toBe(403)
    })

    test('an address ends', async () => {
      const key = newKey()
      const soon = await files.signUpload({ key, contentType: 'image/png', byteSize: 1, expiresAt: new Date(Date.now() + 1_500) })
      await sleep(3_000)
      await isRefused(put(soon, Buffer.from('x')), key)
      await files.write(key, Buffer.from('x'), 'image/png')
      const of = (now: number) => engine.open(() => now).signDownload({ key, contentType: 'image/png', filename: null })
      expect((await fetch((await of(Date.now() - 2 * hour)).url)).status).toBe(403)
      expect((await fetch((await of(Date.now() - hour + 60_000)).url)).status).toBe(200)
    })

    test('everywhere the same address is given for an hour, and each is good for an hour at least', async () => {
      const download = { key: newKey(), contentType: 'image/png', filename: null }
      const at = (now: number) => engine.open(() => now).signDownload(download)
      const first = await at(Date.now())
      const begin = +first.expiresAt - 2 * windowMs
      expect(await at(begin)).toEqual(first)
      expect(await at(begin + windowMs - 1)).toEqual(first)
      const next = await at(begin + windowMs)
      expect(next.url).not.toBe(first.url)
      expect(+next.expiresAt - +first.expiresAt).toBe(windowMs)
      expect(await files.signDownload({ ...download, contentType: 'image/webp' })).not.toEqual(first)
      expect(await files.signDownload({ ...download, filename: 'a' })).not.toEqual(first)
    })

    test('who holds the upload address cannot change what was moved', async () => {
      const [from, to] = [newKey(), newKey()]
      const signed = await sign(from, 4)
      await put(signed, Buffer.from('good'))
      await files.move(from, to)
      expect(await files.head(from)).toBeNull()
      expect((await put(signed, Buffer.from('evil'))).status).toBe(200)
      expect((await bytesOf(files.read(to))).toString()).toBe('good')
      expect(await files.head(to)).toEqual({ byteSize: 4, contentType: 'image/png' })
      // It takes the place of what is there.
      await files.move(from, to)
      expect((await bytesOf(files.read(to))).toString()).toBe('evil')
    })

    test('an upload that is cut off leaves nothing', async () => {
      const key = newKey()
      const signed = await sign(key, 1_000_000)
      const aborted = new AbortController()
      async function* half() {
        yield Buffer.alloc(400_000)
        await sleep(300)
        aborted.abort()
      }
      const body = Readable.toWeb(Readable.from(half())) as ReadableStream
      const headers = { 'content-type': 'image/png', 'content-length': '1000000' }
      const request = { method: 'PUT', body, headers, duplex: 'half', signal: aborted.signal } as RequestInit
      await expect(fetch(signed.url, request)).rejects.toThrow(/abort/i)
      await sleep(200)
      expect(await files.head(key)).toBeNull()
    })

    test('strangers cannot list anything', async () => {
      const key = newKey()
      await files.write(key, Buffer.from('x'), 'image/png')
      const { url } = await files.signDownload({ key, contentType: 'image/png', filename: null })
      const place = url.split('?')[0]!
      for (let folder = place; folder.length > new URL(place).origin.length + 1; folder = folder.replace(/[^/]*\/?$/, '')) {
        expect((await fetch(`${folder}?list-type=2`)).status, folder).toBe(403)
      }
    })
  })
}
