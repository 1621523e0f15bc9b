import { createHash } from 'node:crypto'
import { renderWithin } from './fit.ts'
import type { PushNotice } from './push-sender.ts'

/** Apple: "The maximum payload size for a remote notification is 4 KB". */
export const maxPayloadBytes = 4_096

/** Apple: "The value of this key must not exceed 64 bytes". */
const maxCollapseIdBytes = 64

/** How a notice of each kind is to be treated: alerts may make themselves noticed, background pushes wake the app. */
export type ApnsPush = {
  pushType: 'alert' | 'background'
  /** 10 is at once, 5 when it suits the device's battery. */
  priority: 5 | 10
  /** Within the key `aps`. */
  aps: Record<string, unknown>
}

/**
 * What Apple is to do with a notice. A background push must have nothing in `aps` but that it is one ("Pushing
 * background updates to your App"), so what takes a notice back carries its number among its own keys; a number alone
 * is an alert without words, which iOS shows whether the app runs or not.
 */
export function apnsPush(notice: PushNotice, title: string, body: string): ApnsPush {
  if (notice.kind === 'withdraw') return { pushType: 'background', priority: 5, aps: { 'content-available': 1 } }
  if (notice.kind === 'badge') return { pushType: 'alert', priority: 5, aps: { badge: notice.badge } }
  const isNew = notice.kind === 'show'
  return {
    pushType: 'alert',
    priority: isNew ? 10 : 5,
    aps: {
      alert: { title, body },
      badge: notice.badge,
      'thread-id': notice.threadId,
      'mutable-content': 1,
      ...(isNew
        ? { sound: 'default', 'interruption-level': notice.isUrgent ? 'time-sensitive' : 'active' }
        : // Into the same place without lighting up the screen again.
          { 'interruption-level': 'passive' }),
    },
  }
}

/** The payload in JSON, with the body cut so that it fits; null where the notice's data alone is too much. */
export function apnsPayload(notice: PushNotice): string | null {
  const { kind, collapseId, threadId, badge, data } = notice
  const maru = { ...data, kind, collapseId, threadId, badge: String(badge) }
  return renderWithin(maxPayloadBytes, notice, (title, body) =>
    JSON.stringify({ aps: apnsPush(notice, title, body).aps, maru }),
  )
}

/** A `collapseId` as a header may hold it: itself where it is short and of printable ASCII, else its hash. */
export function apnsCollapseId(collapseId: string): string {
  if (collapseId.length <= maxCollapseIdBytes && /^[\x21-\x7e]+$/.test(collapseId)) return collapseId
  return createHash('sha256').update(collapseId).digest('base64url')
}
