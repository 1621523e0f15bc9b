import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { noticeOf } from './push-sender.conformance.ts'
import { startApnsServer } from './testing/apns-server.ts'
import { startFcmServer } from './testing/fcm-server.ts'
import { startPushService } from './testing/push-service.ts'
import type { Errand } from './testing/send-once.ts'
import { startWebhookServer } from './testing/webhook-server.ts'

const script = fileURLToPath(new URL('testing/send-once.ts', import.meta.url))

test('a process of its own speaks to all four, by addresses and a file of certificates alone, and ends', async () => {
  const [apple, google, service, operator] = await Promise.all([
    startApnsServer(),
    startFcmServer(),
    startPushService(),
    startWebhookServer(),
  ])
  const directory = await mkdtemp(join(tmpdir(), 'maru-push-'))
  onTestFinished(async () => {
    await Promise.all([apple, google, service, operator].map((provider) => provider.stop()))
    await rm(directory, { recursive: true })
  })
  const certificates = join(directory, 'ca.pem')
  await writeFile(certificates, apple.ca! + service.ca!)

  const device = { appId: null, sandbox: false }
  const errand: Errand = {
    options: {
      apns: { ...apple.options, ca: undefined },
      fcm: google.options,
      webPush: service.options,
      webhook: operator.options,
    },
    allowed: [service.host],
    targets: [
      { platform: 'APNS', token: randomBytes(32).toString('hex'), ...device },
      { platform: 'FCM', token: randomBytes(60).toString('base64url'), ...device },
      { platform: 'WEB_PUSH', token: service.subscribe(), ...device },
      { platform: 'WEBHOOK', token: '+82 10 1234 5678', ...device },
    ],
    notice: { ...noticeOf(), expiresAt: noticeOf().expiresAt.toISOString() },
  }
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: certificates }
  const child = spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'inherit'], env })
  onTestFinished(() => void child.kill())
  child.stdin.end(JSON.stringify(errand))
  const outcomes = JSON.parse(await text(child.stdout)) as { outcome: string }[]
  expect(outcomes.map(({ outcome }) => outcome)).toEqual(['accepted', 'accepted', 'accepted', 'accepted'])
  for (const { log, complaints } of [apple, google, service, operator]) {
    expect(complaints).toEqual([])
    expect(log).toMatchObject([{ kind: 'show', title: 'alice', body: 'hello', badge: 3 }])
  }
})
