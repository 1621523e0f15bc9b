import { afterAll, beforeAll, expect, test } from 'vitest'
import { findS3, type S3Server } from '../testing/ceph.ts'
import { testFiles } from './files.conformance.ts'
import { createS3Files } from './s3-files.ts'

/** A Ceph takes ten seconds to start, and longer on a busy machine. */
const startMs = 120_000

let s3: S3Server
beforeAll(async () => {
  s3 = await findS3()
}, startMs)
afterAll(() => s3?.stop())

testFiles('S3', async () => ({ open: (now = Date.now) => createS3Files({ ...s3, now }), stop: async () => {} }), startMs)

test('a service that does not answer is UNAVAILABLE in time, and so is one that is not there', async () => {
  const nowhere = createS3Files({ ...s3, endpoint: 'http://127.0.0.1:1' })
  await expect(nowhere.head('a')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await expect(nowhere.write('a', Buffer.from('x'), 'text/plain')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await nowhere.close()
  if (s3.freeze === null) return
  const files = createS3Files({ ...s3, deadlineMs: 500, transferDeadlineMs: 500 })
  await files.write('a', Buffer.from('x'), 'text/plain')
  await s3.freeze()
  try {
    await expect(files.head('a')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await expect(files.read('a')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await expect(files.move('a', 'b')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await expect(files.remove(['a'])).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    // Signing asks nobody.
    expect((await files.signDownload({ key: 'a', contentType: 'text/plain', filename: null })).url).toContain(s3.endpoint)
  } finally {
    s3.thaw!()
  }
  // Whether it was moved and removed is not known; but it can be asked.
  expect(await files.head('never')).toBeNull()
  await files.close()
})

test('what the service refuses for good is not called a passing trouble', async () => {
  const files = createS3Files({ ...s3, secretAccessKey: 'wrong' })
  await expect(files.write('a', Buffer.from('x'), 'text/plain')).rejects.not.toMatchObject({ code: 'UNAVAILABLE' })
})
