import { expect, test, vi } from 'vitest'
import { newChannel, operation, say } from '../schema/testing/operations.ts'
import { png, upload } from '../schema/testing/uploads.ts'
import { findS3 } from '../server/testing/ceph.ts'
import { startTestApp } from '../server/testing/test-app.ts'
import { unzip } from './testing/unzip.ts'

const Request = operation(`mutation Request { requestDataExport { status } }`)
const List = operation<{ dataExports: { status: string; url: string | null }[] }>(`query List { dataExports { status url } }`)

const lines = (file: Buffer | undefined): any[] =>
  (file?.toString() ?? '').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line))

test('workers do it by themselves, with files in S3', { timeout: 180_000 }, async () => {
  const s3 = await findS3()
  const env = {
    S3_ENDPOINT: s3.endpoint,
    S3_REGION: s3.region,
    S3_BUCKET: s3.bucket,
    S3_ACCESS_KEY_ID: s3.accessKeyId,
    S3_SECRET_ACCESS_KEY: s3.secretAccessKey,
  }
  const own = await startTestApp(env)
  try {
    await own.startWorkers()
    const dora = await own.signUp('dora')
    await upload(dora, png, 'image/png', 'dot.png')
    const channelId = await newChannel(dora)
    await say(dora, channelId, '안녕')
    await vi.waitFor(async () => {
      const left = await own.app.database.run(`select from attachments where status <> 'READY'`, [])
      expect(left).toEqual([])
    }, 20_000)
    await dora.client.request(Request)
    const list = async () => (await dora.client.request(List)).dataExports
    await vi.waitFor(async () => expect(await list()).toMatchObject([{ status: 'READY' }]), { timeout: 30_000, interval: 200 })
    const [ready] = await list()
    const answer = await fetch(ready!.url!)
    expect(answer.status).toBe(200)
    const files = await unzip(Buffer.from(await answer.arrayBuffer()))
    expect(answer.headers.get('content-disposition')).toMatch(/^attachment/)
    expect(lines(files.get(`messages/${channelId}.jsonl`))).toMatchObject([{ content: '안녕' }])
    const [listed] = lines(files.get('attachments.jsonl'))
    expect(files.get(listed.path)!.subarray(1, 4).toString()).toBe('PNG')
    // Whoever takes the signature away has nothing.
    expect((await fetch(ready!.url!.split('?')[0]!)).status).toBe(403)
  } finally {
    await own.stop()
    await s3.stop()
  }
})
