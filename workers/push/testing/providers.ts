import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RegisterDeviceDocument } from '../../../client-sdk/index.ts'
import { startApnsServer } from '../../../server/push/testing/apns-server.ts'
import { startFcmServer } from '../../../server/push/testing/fcm-server.ts'
import type { Delivered, Provider } from '../../../server/push/testing/provider.ts'
import { startPushService } from '../../../server/push/testing/push-service.ts'
import { startWebhookServer } from '../../../server/push/testing/webhook-server.ts'
import type { Person } from '../../../server/testing/test-app.ts'

export type Platform = 'APNS' | 'FCM' | 'WEB_PUSH' | 'WEBHOOK'

/** A device that somebody has registered. */
export type TestDevice = { id: string; platform: Platform; token: string }

/** Providers of all platforms on this machine, and what a deployment is told of them. */
export async function startProviders() {
  const [apns, fcm, browsers, webhook] = await Promise.all([
    startApnsServer(),
    startFcmServer(),
    startPushService(),
    startWebhookServer(),
  ])
  const byPlatform: Record<Platform, Provider> = { APNS: apns, FCM: fcm, WEB_PUSH: browsers, WEBHOOK: webhook }
  const folder = await mkdtemp(join(tmpdir(), 'maru-providers-'))
  const [apnsKey, account, authorities] = ['apns.p8', 'fcm.json', 'ca.pem'].map((name) => join(folder, name))
  const trusted = [apns.ca, browsers.ca].filter((ca) => ca !== null)
  await writeFile(apnsKey!, apns.options.key)
  await writeFile(account!, JSON.stringify(fcm.options.serviceAccount))
  await writeFile(authorities!, trusted.join('\n'))

  /** A token that nobody else has, as each platform has them. */
  const newToken = (platform: Platform): string =>
    platform === 'APNS' ? randomBytes(32).toString('hex')
    : platform === 'WEB_PUSH' ? browsers.subscribe()
    : `${platform.toLowerCase()}-${randomBytes(8).toString('hex')}`

  return {
    ...byPlatform,
    apns,
    all: Object.values(byPlatform),
    /** What processes are told of these providers. */
    env: {
      APNS_KEY_FILE: apnsKey!,
      APNS_KEY_ID: apns.options.keyId,
      APNS_TEAM_ID: apns.options.teamId,
      APNS_TOPIC: apns.options.topic,
      APNS_URL: apns.url,
      FCM_SERVICE_ACCOUNT_FILE: account!,
      FCM_URL: fcm.url,
      VAPID_PUBLIC_KEY: browsers.options.publicKey,
      VAPID_PRIVATE_KEY: browsers.options.privateKey,
      VAPID_SUBJECT: browsers.options.subject,
      PUSH_WEBHOOK_URL: webhook.options.url,
      PUSH_WEBHOOK_SECRET: webhook.options.secret,
      OUTBOUND_ALLOW: browsers.host,
    },
    /** What a process of its own must be given besides. */
    processEnv: { NODE_EXTRA_CA_CERTS: authorities! },
    trusted,

    /** Registers a new device of somebody's. */
    async register(person: Person, platform: Platform, more: { locale?: string } = {}): Promise<TestDevice> {
      const token = newToken(platform)
      const { registerDevice } = await person.client.request(RegisterDeviceDocument, { input: { platform, token, ...more } })
      return { id: registerDevice.id, platform, token }
    },

    /** What a device was told, in order: notices that are shown, unless other kinds are asked for. */
    told: ({ platform, token }: TestDevice, kinds: readonly string[] = ['show']): Delivered[] =>
      byPlatform[platform].log.filter((notice) => sameToken(notice.token, token) && kinds.includes(notice.kind)),

    complaints: () => Object.values(byPlatform).flatMap((provider) => provider.complaints),

    async stop() {
      await Promise.all(Object.values(byPlatform).map((provider) => provider.stop()))
      await rm(folder, { recursive: true, force: true })
    },
  }
}

export type Providers = Awaited<ReturnType<typeof startProviders>>

/** A subscription may be spelt anew by whoever checks it. */
const sameToken = (one: string, other: string): boolean =>
  one === other || (one.startsWith('{') && other.startsWith('{') && endpointOf(one) === endpointOf(other))

const endpointOf = (subscription: string): string => (JSON.parse(subscription) as { endpoint: string }).endpoint
