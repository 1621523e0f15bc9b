import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { DiskFiles, OpenFile } from '../files/disk-files.ts'
import { contentDisposition } from '../files/files.ts'
import type { Permit } from '../files/signed-address.ts'
import { readRange } from './files-range.ts'
import type { Origins } from './origins.ts'

export type FilesRoute = (request: IncomingMessage, response: ServerResponse) => Promise<void>

export type FilesRouteOptions = {
  files: Pick<DiskFiles, 'readPermit' | 'open' | 'write'>
  origins: Origins
  /** A connection on which nothing moves for so long is given up, in milliseconds. */
  idleMs?: number
  /** The longest upload, in milliseconds. */
  uploadMs?: number
}

/** Phones in lifts and tunnels come back sooner. */
const defaultIdleMs = 30_000

/** 100 MiB over half a megabit a second. */
export const defaultUploadMs = 30 * 60_000

/** What is served here was brought by strangers: whatever it holds, it runs nothing and is what it says it is. */
const harmless = {
  'content-security-policy': "sandbox; default-src 'none'",
  'cross-origin-resource-policy': 'cross-origin',
  'x-content-type-options': 'nosniff',
}

const exposed = 'accept-ranges, content-disposition, content-length, content-range, etag, x-request-id'

/** Whether a path is one of files. */
export const isFilesPath = (path: string | undefined): boolean => path?.startsWith('/files/') ?? false

/**
 * Takes and serves the files of a folder at the addresses that it has signed: `PUT` with exactly the type and length
 * that were agreed, `GET` and `HEAD` with ranges (RFC 9110). Whoever holds an address may, and nobody else: 403.
 */
export function createFilesRoute({ files, origins, ...options }: FilesRouteOptions): FilesRoute {
  const idleMs = options.idleMs ?? defaultIdleMs
  const uploadMs = options.uploadMs ?? defaultUploadMs
  /** What is being put where. */
  const underWay = new Map<string, IncomingMessage>()

  return async (request, response) => {
    const { method = '', headers, url = '' } = request
    for (const [name, value] of Object.entries(harmless)) response.setHeader(name, value)
    response.setHeader('vary', 'Origin')
    for (const [name, value] of Object.entries(origins.corsHeaders(headers))) response.setHeader(name, value)
    if (method === 'OPTIONS') return answerPreflight(request, response, origins)
    response.setHeader('cache-control', 'no-store')
    if (response.hasHeader('access-control-allow-origin')) response.setHeader('access-control-expose-headers', exposed)
    request.setTimeout(idleMs, () => request.socket.destroy())
    if (method !== 'GET' && method !== 'HEAD' && method !== 'PUT') {
      response.setHeader('allow', 'GET, HEAD, PUT, OPTIONS')
      return refuse(response, 405, 'Files are put and fetched.')
    }
    const permit = files.readPermit(method, url)
    if (permit === null) return refuse(response, 403, 'This address is not good, or not any more. Ask for a new one.')
    if (permit.method === 'PUT') return take(request, response, permit)
    const file = await files.open(permit.key)
    if (file === null) return refuse(response, 404, 'There is no such file any more.')
    try {
      await serve(request, response, permit, file)
    } finally {
      await file.close()
    }
  }

  async function take(
    request: IncomingMessage,
    response: ServerResponse,
    { key, contentType, byteSize }: Permit & { method: 'PUT' },
  ): Promise<void> {
    const { headers } = request
    if (headers['content-length'] === undefined) return refuse(response, 411, 'Say how long the file is.')
    if (Number(headers['content-length']) !== byteSize) {
      return refuse(response, 400, `This address is for a file of ${byteSize} bytes.`)
    }
    if (headers['content-type'] !== contentType) {
      return refuse(response, 400, `This address is for a file of the type ${contentType}.`)
    }
    const tooLong = setTimeout(() => request.socket.destroy(), uploadMs)
    // Whoever begins again has been cut off; one address is not for filling the disk many times at once.
    const before = underWay.get(key)
    if (before?.complete === false) before.socket.destroy()
    underWay.set(key, request)
    try {
      await files.write(key, request, contentType)
      response.writeHead(200, { 'content-length': 0 }).end()
    } catch (error) {
      // Whoever hangs up before the end is told nothing; nothing of it is kept.
      if (!request.destroyed || request.complete) throw error
    } finally {
      clearTimeout(tooLong)
      if (underWay.get(key) === request) underWay.delete(key)
    }
  }
}

function answerPreflight(request: IncomingMessage, response: ServerResponse, origins: Origins): void {
  const allowed = origins.preflightHeaders(request.headers)
  const methods = 'access-control-allow-methods' in allowed ? { 'access-control-allow-methods': 'GET, HEAD, PUT' } : {}
  response.writeHead(204, { allow: 'GET, HEAD, PUT, OPTIONS', ...allowed, ...methods }).end()
}

async function serve(
  { method, headers }: IncomingMessage,
  response: ServerResponse,
  permit: Permit & { method: 'GET' },
  file: OpenFile,
): Promise<void> {
  const etag = `"${file.tag}"`
  const secondsLeft = Math.max(0, permit.expires - Math.floor(Date.now() / 1_000))
  response.setHeader('etag', etag)
  response.setHeader('cache-control', `private, max-age=${secondsLeft}, immutable`)
  if (matches(headers['if-none-match'], etag)) return void response.writeHead(304).end()
  response.setHeader('content-type', permit.contentType)
  response.setHeader('content-disposition', contentDisposition(permit.filename))
  response.setHeader('accept-ranges', 'bytes')
  // A part of what is another file by now is of no use.
  const wanted = headers['if-range'] === undefined || headers['if-range'] === etag ? headers.range : undefined
  const range = method === 'GET' ? readRange(wanted, file.byteSize) : null
  if (range === 'unsatisfiable') {
    response.writeHead(416, { 'content-range': `bytes */${file.byteSize}`, 'content-length': 0 }).end()
    return
  }
  const { start, end } = range ?? { start: 0, end: file.byteSize - 1 }
  response.setHeader('content-length', end - start + 1)
  if (range !== null) response.setHeader('content-range', `bytes ${start}-${end}/${file.byteSize}`)
  response.writeHead(range === null ? 200 : 206)
  if (method === 'HEAD') return void response.end()
  // Who hangs up in the midst has what they wanted.
  await pipeline(file.read({ start, end }), response).catch(() => response.destroy())
}

/** Whether If-None-Match names what the client would be sent. */
const matches = (header: string | undefined, etag: string): boolean =>
  header?.split(',').some((tag) => [etag, '*'].includes(tag.trim().replace(/^W\//, ''))) ?? false

/** In the form of a GraphQL answer, as everywhere on this server. */
function refuse(response: ServerResponse, status: number, message: string): void {
  const code = status === 403 ? 'FORBIDDEN' : status === 404 ? 'NOT_FOUND' : 'BAD_USER_INPUT'
  const body = JSON.stringify({ errors: [{ message, extensions: { code } }] })
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(body)
}
