import { apnsCollapseId, apnsPush } from './apns-payload.ts'
import { renderWithin } from './fit.ts'
import type { PushNotice } from './push-sender.ts'

/** Google: "Maximum payload for both message types is 4096 bytes". The token is not part of it. */
const maxMessageBytes = 4_096

/** Google keeps nothing for longer. Seconds. */
const maxTtlSeconds = 28 * 24 * 60 * 60

/** Names that Google keeps for itself in `data`: these, and what begins so. */
const reserved = /^(from|message_type|collapse_key|google.*|gcm.*)$/i

/**
 * The request for a notice in JSON, with the body cut so that it fits; null where the notice's data alone is too much.
 * `isDataOnly` leaves it to the app on Android to show what is in `data`.
 */
export function fcmMessage(token: string, notice: PushNotice, isDataOnly: boolean): string | null {
  const { kind, collapseId, threadId, badge } = notice
  const isShown = kind === 'show' || kind === 'replace'
  const isLeftToApp = isShown && isDataOnly
  const isLeftToGoogle = isShown && !isDataOnly
  const given = Object.entries(notice.data).filter(([name]) => !reserved.test(name))
  const ids = { ...Object.fromEntries(given), kind, collapseId, threadId, badge: String(badge) }

  const message = (title: string, body: string) => ({
    data: isLeftToApp ? { ...ids, title, body } : ids,
    ...(isLeftToGoogle ? { notification: { title, body } } : {}),
    android: {
      // Google lowers the priority of apps that wake devices without showing anything.
      priority: kind === 'show' ? 'HIGH' : 'NORMAL',
      ttl: `${secondsUntil(notice.expiresAt)}s`,
      // Google keeps four keys for each device: notices that the app shows are all to arrive.
      ...(isLeftToApp ? {} : { collapse_key: kind === 'badge' ? 'badge' : apnsCollapseId(collapseId) }),
      ...(isLeftToGoogle ? { notification: androidBlock(notice) } : {}),
    },
    apns: apnsBlock(notice, isLeftToApp ? { title, body } : undefined),
  })
  const copies = isLeftToApp ? 2 : 1
  const json = renderWithin(maxMessageBytes, notice, (title, body) => JSON.stringify(message(title, body)), copies)
  return json === null ? null : JSON.stringify({ message: { token, ...(JSON.parse(json) as object) } })
}

const androidBlock = ({ kind, collapseId, badge, isUrgent }: PushNotice) => ({
  tag: collapseId,
  notification_count: badge,
  default_sound: kind === 'show',
  notification_priority: kind === 'replace' ? 'PRIORITY_LOW' : isUrgent ? 'PRIORITY_HIGH' : 'PRIORITY_DEFAULT',
})

/** For apps on iOS that take their pushes by way of Google, who puts the words of the notification block in. */
function apnsBlock(notice: PushNotice, alert: { title: string; body: string } | undefined) {
  const { pushType, priority, aps } = apnsPush(notice, '', '')
  return {
    headers: {
      'apns-push-type': pushType,
      'apns-priority': String(priority),
      'apns-expiration': String(Math.floor(notice.expiresAt.getTime() / 1_000)),
      ...(notice.kind === 'badge' ? {} : { 'apns-collapse-id': apnsCollapseId(notice.collapseId) }),
    },
    payload: { aps: { ...aps, alert } },
  }
}

const secondsUntil = (at: Date): number =>
  Math.min(maxTtlSeconds, Math.max(0, Math.floor((at.getTime() - Date.now()) / 1_000)))
