import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Readable } from 'node:stream'
import {
  CopyObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { expectedFailure, notFound, unavailable } from '../errors.ts'
import { createAddresses, goodForMs } from './address-window.ts'
import { checkKey, contentDisposition, type FileBody, type Files } from './files.ts'
import { createS3Addresses } from './s3-address.ts'

export type S3FilesOptions = {
  endpoint: string
  region: string
  bucket: string
  accessKeyId: string
  secretAccessKey: string
  /** How long the service may take for what has no body to speak of, in milliseconds. */
  deadlineMs?: number
  /** How long it may take for a whole file, in milliseconds. */
  transferDeadlineMs?: number
  /** Now, in milliseconds since 1970. */
  now?: () => number
}

/** A service that is well answers within tens of milliseconds. */
const defaultDeadlineMs = 10_000

/** 100 MiB in two minutes are 7 Mbit/s. */
const defaultTransferDeadlineMs = 120_000

/** What one request may delete. */
const removedAtOnce = 1_000

/** Keeps files in a bucket, which must exist. */
export function createS3Files(options: S3FilesOptions): Files {
  const { endpoint, region, bucket: Bucket, accessKeyId, secretAccessKey } = options
  const deadlineMs = options.deadlineMs ?? defaultDeadlineMs
  const now = options.now ?? Date.now
  const transferDeadlineMs = options.transferDeadlineMs ?? defaultTransferDeadlineMs
  const client = new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    // Amazon has a host for each bucket; others may not have such names.
    forcePathStyle: !/(^|\.)amazonaws\.com(\.cn)?$/.test(new URL(endpoint).hostname),
    // Checksums that S3 clients add by default are not known to every service, and are no part of a signed address.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: 3,
    requestHandler: { connectionTimeout: 3_000 },
  })

  const sign = createS3Addresses({ region, accessKeyId, secretAccessKey })
  let bucketAddress: Promise<string> | null = null

  /** Where the bucket is, which S3's client knows: the address of a key, without the key. */
  const findBucket = () =>
    (bucketAddress ??= getSignedUrl(client, new GetObjectCommand({ Bucket, Key: 'x' })).then((url) =>
      url.slice(0, url.indexOf('?') - 1),
    ))

  const addressOf = createAddresses(async ({ key, contentType, filename }, startsAt, expiresAt) => {
    const parameters = {
      'response-content-type': contentType,
      'response-content-disposition': contentDisposition(filename),
      'response-cache-control': `private, max-age=${goodForMs / 1_000}, immutable`,
    }
    const address = new URL((await findBucket()) + checkKey(key))
    // Signed as of the beginning of its window, it is the same on all replicas.
    return sign(address, parameters, startsAt, (+expiresAt - +startsAt) / 1_000)
  }, now)

  async function headOf(key: string) {
    try {
      const Key = checkKey(key)
      const found = await ask(deadlineMs, (abortSignal) => client.send(new HeadObjectCommand({ Bucket, Key }), { abortSignal }))
      return { byteSize: found.ContentLength ?? 0, contentType: found.ContentType ?? 'application/octet-stream' }
    } catch (error) {
      if (isNotFound(error)) return null
      throw error
    }
  }

  async function remove(keys: readonly string[]): Promise<void> {
    for (let from = 0; from < keys.length; from += removedAtOnce) {
      const Objects = keys.slice(from, from + removedAtOnce).map((key) => ({ Key: checkKey(key) }))
      const command = new DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet: true } })
      const { Errors = [] } = await ask(deadlineMs, (abortSignal) => client.send(command, { abortSignal }))
      const failed = Errors.find(({ Code }) => Code !== 'NoSuchKey')
      if (failed !== undefined) throw unavailable(new Error(`${failed.Code}: ${failed.Message}`))
    }
  }

  return {
    async signUpload({ key, contentType, byteSize, expiresAt }) {
      const command = new PutObjectCommand({
        Bucket,
        Key: checkKey(key),
        ContentType: contentType,
        ContentLength: byteSize,
      })
      const url = await getSignedUrl(client, command, {
        signingDate: new Date(now()),
        expiresIn: Math.max(1, Math.floor((+expiresAt - now()) / 1_000)),
        // Otherwise the type would not be signed.
        signableHeaders: new Set(['host', 'content-type', 'content-length']),
      })
      return {
        method: 'PUT',
        url,
        headers: [
          { name: 'Content-Type', value: contentType },
          { name: 'Content-Length', value: String(byteSize) },
        ],
      }
    },

    signDownload: (download) => addressOf(download),
    head: headOf,

    async read(key, range) {
      const Range = range === undefined ? undefined : `bytes=${range.start}-${range.end}`
      const command = new GetObjectCommand({ Bucket, Key: checkKey(key), Range })
      try {
        const { Body } = await ask(deadlineMs, (abortSignal) => client.send(command, { abortSignal }))
        return deadlined(Body as Readable, transferDeadlineMs)
      } catch (error) {
        if (isNotFound(error)) throw notFound('file')
        // A range that begins behind the end has nothing in it.
        if (statusOf(error) === 416) return Readable.from([])
        throw error
      }
    },

    async write(key, body, contentType) {
      const Key = checkKey(key)
      // Only what can be sent twice is tried twice.
      const { Body, ContentLength } = await measured(body)
      const command = new PutObjectCommand({ Bucket, Key, Body, ContentLength, ContentType: contentType })
      await ask(transferDeadlineMs, (abortSignal) => client.send(command, { abortSignal }))
    },

    async move(from, to) {
      const CopySource = `${Bucket}/${checkKey(from)}`
      const copy = new CopyObjectCommand({ Bucket, Key: checkKey(to), CopySource })
      try {
        await ask(transferDeadlineMs, (abortSignal) => client.send(copy, { abortSignal }))
      } catch (error) {
        throw isNotFound(error) ? notFound('file') : error
      }
      await remove([from])
    },

    remove,

    async close() {
      client.destroy()
    },
  }
}

/** Asks the service, for so long. Whatever says that it is away, or not well, is UNAVAILABLE. */
async function ask<Answer>(ms: number, request: (signal: AbortSignal) => Promise<Answer>): Promise<Answer> {
  try {
    return await request(AbortSignal.timeout(ms))
  } catch (error) {
    if (expectedFailure(error) !== null) throw error
    const status = statusOf(error)
    // What the service refuses for good (a wrong key, no such bucket) is the operator's to mend, and in the log.
    const isRefusal = error instanceof S3ServiceException && status !== undefined && status < 500 && status !== 429
    throw isRefusal ? error : unavailable(error)
  }
}

const statusOf = (error: unknown): number | undefined =>
  (error as { $metadata?: { httpStatusCode?: number } } | null)?.$metadata?.httpStatusCode

const isNotFound = (error: unknown) =>
  error instanceof S3ServiceException && ['NoSuchKey', 'NotFound'].includes(error.name)

/** A body that the service stops sending in the midst ends in an error. */
function deadlined(body: Readable, ms: number): Readable {
  const timer = setTimeout(() => body.destroy(unavailable(new Error(`Not read within ${ms} ms`))), ms)
  timer.unref()
  body.once('close', () => clearTimeout(timer))
  return body
}

/** The length of what is written must be known before the first byte. A stream of unknown length is gathered. */
async function measured(body: FileBody): Promise<{ Body: Buffer | Readable; ContentLength: number }> {
  if (Buffer.isBuffer(body)) return { Body: body, ContentLength: body.length }
  if (!(body instanceof Readable)) {
    const { size } = await stat(body.path)
    return { Body: createReadStream(body.path), ContentLength: size }
  }
  const Body = Buffer.concat(await Array.fromAsync<Buffer>(body))
  return { Body, ContentLength: Body.length }
}
