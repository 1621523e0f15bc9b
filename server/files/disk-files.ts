import { createHash, randomUUID } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { notFound } from '../errors.ts'
import { createAddresses } from './address-window.ts'
import { checkKey, type FileBody, type Files } from './files.ts'
import { readPermit, type Permit, signPath } from './signed-address.ts'

export type DiskFilesOptions = {
  /** Made where it is not there. */
  folder: string
  /** Where clients reach this server, without a slash at the end; asked for as late as an address is signed. */
  baseUrl: () => string
  /** What addresses are signed with: `addressSecret`. The same on all processes that share the folder. */
  secret: Buffer
  /** Now, in milliseconds since 1970. */
  now?: () => number
}

/** A file that is open for reading. Close it. */
export type OpenFile = {
  byteSize: number
  contentType: string
  /** Another one for each content that a key has had. */
  tag: string
  read(range?: { start: number; end: number }): Readable
  close(): Promise<void>
}

/** The engine that also serves what it signs: see `server/http/files.ts`. */
export type DiskFiles = Files & {
  /** What an address permits, if this engine has signed it and it has not expired; else null. */
  readPermit(method: string, path: string): Permit | null
  /** Null where there is nothing under the key. */
  open(key: string): Promise<OpenFile | null>
}

/**
 * What stands before the bytes of each file: this line, the content type, and spaces. Within the file, so that the two
 * come, go and change places in one step, whenever the machine stops.
 */
const magic = 'maru-file 1\n'
const headerLength = 256

/** Where files are written before they take their place, in the same folder and so on the same disk. */
const partial = 'partial'

/** Nothing takes this long to write: what is older was cut off. Milliseconds. */
const cutOffAfterMs = 24 * 3_600_000

/** Keeps files in a folder of this machine. */
export function createDiskFiles({ folder, baseUrl, secret, now = Date.now }: DiskFilesOptions): DiskFiles {
  // By a hash: no key can lead anywhere else, and no folder grows too large.
  const pathOf = (key: string) => {
    const hash = createHash('sha256').update(checkKey(key)).digest('hex')
    return join(folder, hash.slice(0, 2), hash.slice(2, 4), hash)
  }
  const sign = (permit: Permit) => baseUrl() + signPath(permit, secret)
  const addressOf = createAddresses(async ({ key, contentType, filename }, _, expiresAt) =>
    sign({ method: 'GET', key: checkKey(key), expires: seconds(expiresAt), contentType, filename }),
    now,
  )
  const swept = removeCutOff(join(folder, partial))

  async function openFile(key: string): Promise<OpenFile | null> {
    const handle = await open(pathOf(key), constants.O_RDONLY).catch(nullIfMissing)
    if (handle === null) return null
    try {
      const header = Buffer.alloc(headerLength)
      const [stats] = await Promise.all([handle.stat({ bigint: true }), handle.read(header, 0, headerLength, 0)])
      const byteSize = Number(stats.size) - headerLength
      return {
        byteSize,
        contentType: header.toString('latin1').slice(magic.length).trimEnd(),
        tag: `${stats.mtimeNs.toString(36)}-${stats.ino.toString(36)}`,
        read: (range) => readFrom(handle, byteSize, range),
        close: () => handle.close(),
      }
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  return {
    readPermit: (method, path) => readPermit(method, path, secret),
    open: openFile,

    async signUpload({ key, contentType, byteSize, expiresAt }) {
      return {
        method: 'PUT',
        url: sign({ method: 'PUT', key: checkKey(key), expires: seconds(expiresAt), contentType, byteSize }),
        headers: [
          { name: 'Content-Type', value: contentType },
          { name: 'Content-Length', value: String(byteSize) },
        ],
      }
    },

    signDownload: (download) => addressOf(download),

    async head(key) {
      const file = await openFile(key)
      await file?.close()
      return file === null ? null : { byteSize: file.byteSize, contentType: file.contentType }
    },

    async read(key, range) {
      const file = await openFile(key)
      if (file === null) throw notFound('file')
      return file.read(range)
    },

    async write(key, body, contentType) {
      if (!/^[\x20-\x7e]{1,200}$/.test(contentType)) throw new Error('This is no content type')
      await swept
      const unfinished = join(folder, partial, randomUUID())
      await mkdir(dirname(unfinished), { recursive: true })
      const handle = await open(unfinished, 'wx', 0o600)
      try {
        try {
          await handle.write(Buffer.from((magic + contentType).padEnd(headerLength), 'latin1'))
          for await (const chunk of bytesOf(body)) await handle.writeFile(chunk)
          await handle.sync()
        } finally {
          await handle.close()
        }
        await settle(unfinished, pathOf(key))
      } catch (error) {
        await rm(unfinished, { force: true })
        throw error
      }
    },

    async move(from, to) {
      await settle(pathOf(from), pathOf(to)).catch((error: unknown) => {
        throw isMissing(error) ? notFound('file') : error
      })
    },

    async remove(keys) {
      for (const key of keys) await rm(pathOf(key), { force: true })
    },

    close: async () => {},
  }
}

const seconds = (date: Date) => Math.floor(+date / 1_000)

/** The stream closes the file when it is read to its end or given up. */
function readFrom(handle: FileHandle, byteSize: number, range?: { start: number; end: number }): Readable {
  const start = range?.start ?? 0
  const end = Math.min(range?.end ?? byteSize - 1, byteSize - 1)
  if (end < start) {
    const nothing = Readable.from([])
    nothing.once('close', () => void handle.close())
    return nothing
  }
  return handle.createReadStream({ start: start + headerLength, end: end + headerLength, highWaterMark: 256 * 1024 })
}

function bytesOf(body: FileBody): AsyncIterable<Buffer> | Buffer[] {
  if (Buffer.isBuffer(body)) return [body]
  return body instanceof Readable ? body : createReadStream(body.path)
}

/** Puts a file in its place for good: what a folder holds is written to the disk like what a file does. */
async function settle(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true })
  await rename(from, to)
  const parent = await open(dirname(to), constants.O_RDONLY)
  await parent.sync().finally(() => parent.close())
}

/** Removes what a crash has left half written. Failing is no harm: the next start tries again. */
async function removeCutOff(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name)
    const age = await stat(path).then(({ mtimeMs }) => Date.now() - mtimeMs, () => 0)
    if (age > cutOffAfterMs) await rm(path, { force: true }).catch(() => {})
  }
}

const isMissing = (error: unknown) => (error as { code?: unknown }).code === 'ENOENT'

function nullIfMissing(error: unknown): null {
  if (isMissing(error)) return null
  throw error
}
