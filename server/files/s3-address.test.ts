import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { expect, test } from 'vitest'
import { createS3Files } from './s3-files.ts'
import { windowStart } from './address-window.ts'
import { contentDisposition } from './files.ts'

const account = { region: 'eu-central-1', accessKeyId: 'AKID', secretAccessKey: 'secret' }
const now = Date.UTC(2026, 10, 21, 23, 59, 30)

test.each([
  ['https://s3.eu-central-1.amazonaws.com', 'pictures'],
  ['https://s3.eu-central-1.amazonaws.com', 'pictures.example.org'],
  ['http://127.0.0.1:9000', 'pictures'],
  ['https://files.example.org:8443/s3', 'pictures'],
])('an address at %s for the bucket %s is the one that S3’s own client makes', async (endpoint, bucket) => {
  const files = createS3Files({ ...account, endpoint, bucket, now: () => now })
  const client = new S3Client({
    endpoint,
    region: account.region,
    credentials: account,
    forcePathStyle: !endpoint.includes('amazonaws'),
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
  for (const [key, contentType, filename] of [
    ['files/1/2/a-_b.3.webp', 'image/webp', null],
    ['x', 'text/plain', `회의록 (2)'s *&?=+~!.txt`],
    ['y/z', 'image/svg+xml', 'a b.svg'],
  ] as const) {
    const { url } = await files.signDownload({ key, contentType, filename })
    const command = new GetObjectCommand({
      Bucket: bucket,
      Key: key,
      ResponseContentType: contentType,
      ResponseContentDisposition: contentDisposition(filename),
      ResponseCacheControl: 'private, max-age=7200, immutable',
    })
    const signingDate = new Date(windowStart(key, now))
    const expected = new URL(await getSignedUrl(client, command, { signingDate, expiresIn: 7_200 }))
    const made = new URL(url)
    expect(made.origin + made.pathname).toBe(expected.origin + expected.pathname)
    expect([...made.searchParams].toSorted()).toEqual([...expected.searchParams].toSorted())
  }
  client.destroy()
  await files.close()
})
