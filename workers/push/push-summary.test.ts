import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { CreateChannelDocument, RegisterDeviceDocument, SendMessageDocument } from '../../client-sdk/index.ts'
import { type JobAdder, type JobHandlers, jobKinds } from '../../server/jobs/jobs.ts'
import { createOutbound, type Outbound } from '../../server/lib/outbound.ts'
import { parseGlobalId } from '../../server/lib/global-id.ts'
import { createLog } from '../../server/observability/log.ts'
import { createMetrics } from '../../server/observability/metrics.ts'
import { createPushSender } from '../../server/push/push-sender.ts'
import { type FcmServer, startFcmServer } from '../../server/push/testing/fcm-server.ts'
import { startTestApp, type TestApp } from '../../server/testing/test-app.ts'
import { createPush } from './push.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let app: TestApp
let fcm: FcmServer
let outbound: Outbound
beforeAll(async () => {
  ;[app, fcm] = await Promise.all([startTestApp(), startFcmServer()])
  outbound = createOutbound({ userAgent: 'Maru' })
})
afterAll(async () => {
  await app.stop()
  await Promise.all([fcm.stop(), outbound.close()])
})

test('what is held back while a summary is being made is in the next one', async () => {
  const { database, jobs, snowflakes } = app.app
  const [alice, bob] = [await app.signUp('alice'), await app.signUp('bob')]
  const phone = { platform: 'FCM' as const, token: 'the-token-of-bobs-phone' }
  await bob.client.request(RegisterDeviceDocument, { input: phone })
  const input = { kind: 'GROUP' as const, name: 'general', memberIds: [bob.id] }
  const { createChannel } = await alice.client.request(CreateChannelDocument, { input })
  const channelId = createChannel.channel.id
  const seqs: number[] = []
  for (const content of ['one', 'two', 'three']) {
    const { sendMessage } = await alice.client.request(SendMessageDocument, { input: { channelId, content } })
    seqs.push(sendMessage.message.seq)
  }
  const [summary] = await database.run<{ userId: string; deviceId: string }>(
    'select user_id as "userId", id as "deviceId" from devices where token = $1',
    [phone.token],
  )

  let made = 0
  /** Adds as the queue does, and then does not commit before the summary that waits already has been made. */
  const slowly: JobAdder = {
    async add(tx, some) {
      await jobs.add(tx, some)
      if (made === 0 && some.some(({ kind }) => kind === 'push-summary')) await vi.waitUntil(() => made > 0, 20_000)
    },
  }
  const options = { apns: null, fcm: fcm.options, webPush: null, webhook: null, outbound }
  const { handlers: push } = createPush({
    core: { database, jobs: slowly as typeof jobs, snowflakes },
    sender: createPushSender(options),
    metrics: createMetrics(),
    log: createLog({ level: 'silent', format: 'json' }),
    perMinute: 1,
    mailTimes: null,
  })
  const others = Object.fromEntries(jobKinds.map((kind) => [kind, async () => {}])) as unknown as JobHandlers
  await jobs.work({
    ...others,
    async 'push-summary'(data, context) {
      await push['push-summary'](data, context)
      made++
    },
  })
  const waiting = { kind: 'push-summary' as const, data: summary!, key: summary!.deviceId }
  await database.transaction((tx) => jobs.add(tx, [{ ...waiting, startAfter: new Date(Date.now() + 1_000) }]))
  const { channelId: id } = parseGlobalId(channelId) as { channelId: string }
  const data = { channelId: id, firstSeq: seqs[0]!, lastSeq: seqs.at(-1)! }
  await push.push(data, { retries: 0, createdAt: new Date(), signal: new AbortController().signal })

  await expect.poll(() => fcm.log.map(({ data: { count } }) => count), { timeout: 30_000 }).toEqual([undefined, '2'])
})
