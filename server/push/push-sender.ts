import type { Outbound } from '../lib/outbound.ts'
import { createApns } from './apns.ts'
import { createFcm } from './fcm.ts'
import { createWebPush } from './web-push.ts'
import { createWebhook } from './webhook.ts'

/**
 * Hands notices to the services that carry them to devices: Apple's, Google's, the browsers', or an address of the
 * operator's.
 *
 * What every engine guarantees:
 * - `send` never throws, and answers within `timeoutMs`, whatever the provider does.
 * - `accepted` means that the provider has said so. It tells nothing of whether the device ever shows the notice.
 * - `dead` is said only where the provider, or the guard in front of it, says that the token will never work again.
 * - `later` may come after the provider has taken the notice: its answer was lost, or came too late. Whoever tries
 *   again may send twice; on the device the second takes the place of the first, because `collapseId` is the same.
 * - A body that is too long for the platform is cut at what people take for a character, with an ellipsis.
 *
 * What none guarantees:
 * - That notices arrive, or in which order.
 * - That a device which was off gets more than the last of each `collapseId`.
 *
 * No engine tries again by itself, but where the provider has said that it has not looked at the request, or that the
 * token which the engine signs in with is too old. When to try again is for the caller to say, who knows what else is
 * to be sent.
 */
export type PushSender = {
  send(target: PushTarget, notice: PushNotice): Promise<PushOutcome>
  /** What is under way ends with `later`, and so does everything sent afterwards. */
  close(): Promise<void>
}

export type PushPlatform = 'APNS' | 'FCM' | 'WEB_PUSH' | 'WEBHOOK'

/** A device. `token` is what `checkPushToken` returned for it. */
export type PushTarget = { platform: PushPlatform; token: string; appId: string | null; sandbox: boolean }

export type PushNotice = {
  /**
   * `show`: an alert. `replace`: the same place on the screen, other words, without a sound. `withdraw`: takes the
   * notice of this `collapseId` off the screen, silently. `badge`: only the number. The README says which platform can
   * do what.
   */
  kind: 'show' | 'replace' | 'withdraw' | 'badge'
  /** What replaces each other on a device. Any length: each engine makes of it what its platform takes. */
  collapseId: string
  title: string
  body: string
  /** The number on the app's icon. */
  badge: number
  /** Groups the notices of one conversation. */
  threadId: string
  /** For the app that opens the notice: ids and the like. Not `kind`, `collapseId`, `threadId` or `badge`. */
  data: Record<string, string>
  /** Mentions and direct messages: they may break through a focus, and wake a sleeping device. */
  isUrgent: boolean
  /** After this the provider need not try any more. */
  expiresAt: Date
}

export type PushOutcome =
  | { outcome: 'accepted'; providerId: string | null }
  /** The token will never work again: drop it. */
  | { outcome: 'dead'; reason: string }
  /** This notice cannot be sent, ever; the token may be fine. */
  | { outcome: 'refused'; reason: string }
  /** Too many requests, or something between here and the provider failed. */
  | { outcome: 'later'; reason: string; retryAfterMs: number | null }

export type ApnsOptions = {
  /** The .p8 file from Apple, as PEM. */
  key: string
  /** The key's ten characters. */
  keyId: string
  /** The team's ten characters. */
  teamId: string
  /** The app's bundle id, for devices that name none. */
  topic: string
  /** Other bundle ids that devices may name. */
  topics: string[]
  url?: string
  sandboxUrl?: string
  /** Trusted besides the well-known authorities, as PEM. */
  ca?: string | string[]
}

export type FcmOptions = {
  /** What the service account's JSON file holds. */
  serviceAccount: { project_id: string; client_email: string; private_key: string; token_uri: string }
  /** No notification block: the app makes its notices itself. The README says when that is better. */
  isDataOnly?: boolean
  url?: string
}

/** VAPID keys in base64url, and who stands behind them: `mailto:` or `https:`. */
export type WebPushOptions = { publicKey: string; privateKey: string; subject: string }

/**
 * Where notices are posted, and what they are signed with: `whsec_` and base64, as Standard Webhooks has it, or a text.
 */
export type WebhookOptions = { url: string; secret: string }

export type PushOptions = {
  apns: ApnsOptions | null
  fcm: FcmOptions | null
  webPush: WebPushOptions | null
  webhook: WebhookOptions | null
  /** For addresses that come from users. Stays open when the sender is closed. */
  outbound: Outbound
  /** By when `send` has an answer. Milliseconds. */
  timeoutMs?: number
}

/** Providers answer in well under a second; a worker must not wait long for one that does not. Milliseconds. */
const defaultTimeoutMs = 10_000

/**
 * A sender for all platforms that are configured. Throws an Error that says which setting is at fault where a key
 * cannot be read.
 */
export function createPushSender(
  options: PushOptions,
): PushSender & { isConfigured(platform: PushPlatform): boolean } {
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs
  const { apns, fcm, webPush, webhook, outbound } = options
  const engines: Record<PushPlatform, PushSender | null> = {
    APNS: apns && createApns({ ...apns, timeoutMs }),
    FCM: fcm && createFcm({ ...fcm, timeoutMs }),
    WEB_PUSH: webPush && createWebPush({ ...webPush, outbound, timeoutMs }),
    WEBHOOK: webhook && createWebhook({ ...webhook, timeoutMs }),
  }
  let isClosed = false

  return {
    isConfigured: (platform) => engines[platform] !== null,
    async send(target, notice) {
      const engine = engines[target.platform]
      if (engine === null) return { outcome: 'refused', reason: 'NOT_CONFIGURED' }
      if (isClosed) return { outcome: 'later', reason: 'CLOSED', retryAfterMs: null }
      // No date at all is no time to come.
      if (!(notice.expiresAt.getTime() > Date.now())) return { outcome: 'refused', reason: 'EXPIRED' }
      try {
        return await engine.send(target, notice)
      } catch (error) {
        // Whatever this is, the notice is not to blame before it has been tried again.
        return { outcome: 'later', reason: `FAILED: ${(error as Error).message}`.slice(0, 200), retryAfterMs: null }
      }
    },
    async close() {
      isClosed = true
      await Promise.all(Object.values(engines).map((engine) => engine?.close()))
    },
  }
}
