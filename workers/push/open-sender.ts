import { readFileSync } from 'node:fs'
import type { Config } from '../../server/config.ts'
import type { Outbound } from '../../server/lib/outbound.ts'
import type { VapidKeys } from '../../server/lib/vapid-keys.ts'
import { createPushSender, type PushOptions, type PushSender } from '../../server/push/push-sender.ts'
import { StartError } from '../../server/start-error.ts'

export type SenderSurroundings = { config: Config['push']; vapid: VapidKeys; publicUrl: string; outbound: Outbound; trusted?: string[] }

/** The sender for whatever the configuration names. Throws a StartError where a file or a key of it cannot be read. */
export function openPushSender({ config, vapid, publicUrl, outbound, trusted = [] }: SenderSurroundings): PushSender {
  const apns = config.apns && {
    key: readSecretFile('APNS_KEY_FILE', config.apns.keyFile),
    keyId: config.apns.keyId,
    teamId: config.apns.teamId,
    topic: config.apns.topics[0]!,
    topics: config.apns.topics.slice(1),
    ca: trusted,
    ...(config.apnsUrl === null ? {} : { url: config.apnsUrl, sandboxUrl: config.apnsUrl }),
  }
  const fcm =
    config.fcmServiceAccountFile === null
      ? null
      : {
          serviceAccount: readServiceAccount(config.fcmServiceAccountFile),
          isDataOnly: config.fcmDataOnly,
          ...(config.fcmUrl === null ? {} : { url: config.fcmUrl }),
        }
  // Push services want somebody to write to; a server that only this machine reaches has no address that would do.
  const subject = config.vapidSubject ?? (publicUrl.startsWith('https:') ? publicUrl : 'mailto:maru@localhost')
  try {
    return createPushSender({ apns, fcm, webPush: { ...vapid, subject }, webhook: config.webhook, outbound })
  } catch (error) {
    throw new StartError(`Pushes cannot be sent: ${(error as Error).message}`)
  }
}

type ServiceAccount = NonNullable<PushOptions['fcm']>['serviceAccount']

function readServiceAccount(path: string): ServiceAccount {
  try {
    return JSON.parse(readSecretFile('FCM_SERVICE_ACCOUNT_FILE', path)) as ServiceAccount
  } catch (error) {
    if (error instanceof StartError) throw error
    throw new StartError(`FCM_SERVICE_ACCOUNT_FILE names ${path}, which holds no JSON. Take the file that Google gave you.`)
  }
}

function readSecretFile(setting: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new StartError(`${setting} names ${path}, which cannot be read: ${(error as Error).message}`)
  }
}
