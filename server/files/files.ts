import type { Readable } from 'node:stream'

/** Where a client puts a file: exactly this request, with a body of exactly the length that was signed. */
export type SignedUpload = { method: 'PUT'; url: string; headers: { name: string; value: string }[] }

export type Upload = { key: string; contentType: string; byteSize: number; expiresAt: Date }

export type Download = {
  key: string
  /** What it is served as. */
  contentType: string
  /** Null shows it in its place; a name has it saved under that name. */
  filename: string | null
}

/** Where a file can be fetched, and until when. */
export type SignedDownload = { url: string; expiresAt: Date }

/** What a file is written from. A path is that of a file on this machine, which stays as it is. */
export type FileBody = Buffer | Readable | { path: string }

/**
 * Where files are kept: `disk-files.ts` keeps them in a folder, `s3-files.ts` in a bucket, and `files.conformance.ts` is
 * what both have to pass.
 *
 * **Keys** are what `checkKey` lets through, and say nothing of who may read: whoever is handed a signed address may,
 * until it ends, and nobody else. Nothing can be listed.
 *
 * **Atomicity.** A key has a whole file or none: what is cut off while it is written has never been there, and who reads
 * while another takes its place reads one of the two. What is acknowledged outlives a crash.
 *
 * **Addresses.** A signed upload takes one method, key, type and length, to the byte, until it expires; it may be used
 * more than once until then. So what a client has put somewhere can be trusted to stay as it is only after it has been
 * moved. Download addresses are the same on all replicas for an hour, so that caches work, and good for at least an
 * hour more.
 *
 * **Failing.** What is not there is NOT_FOUND. UNAVAILABLE when the storage is away or does not answer in time: then it
 * is not known whether something was done, and all of it may be asked for again.
 */
export type Files = {
  signUpload(upload: Upload): Promise<SignedUpload>
  signDownload(download: Download): Promise<SignedDownload>
  /** What is there under a key; null where nothing is. */
  head(key: string): Promise<{ byteSize: number; contentType: string } | null>
  /** The bytes of a file, or of a part of it: `start` and `end` included, as in HTTP. What reaches past its end is cut. */
  read(key: string, range?: { start: number; end: number }): Promise<Readable>
  write(key: string, body: FileBody, contentType: string): Promise<void>
  /** Afterwards `to` is there, `from` is not, and who holds the upload address of `from` cannot change `to`. */
  move(from: string, to: string): Promise<void>
  /** Those that are not there are no error. */
  remove(keys: readonly string[]): Promise<void>
  close(): Promise<void>
}

/** The longest key: S3 takes 1,024 bytes, and addresses should stay short. */
const maxKeyLength = 200

/** Returns a key if it is one: names of letters, digits, dashes, dots and underscores, with slashes between them. */
export function checkKey(key: string): string {
  if (key.length <= maxKeyLength && /^[\w-][\w.-]*(?:\/[\w-][\w.-]*)*$/.test(key)) return key
  throw new Error(`This is no key of a file: ${JSON.stringify(key.slice(0, maxKeyLength))}`)
}

/**
 * The Content-Disposition of a download, by RFC 6266: a name that anything can read, and the right one for whoever
 * reads RFC 8187. Null is shown in its place.
 */
export function contentDisposition(filename: string | null): string {
  if (filename === null) return 'inline'
  const plain = filename.normalize('NFKD').replaceAll(/[^\x20-\x7e]|["\\%]/g, '_')
  const exact = encodeURIComponent(filename.toWellFormed()).replaceAll(/['()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
  return `attachment; filename="${plain}"; filename*=UTF-8''${exact}`
}
