import { text } from 'node:stream/consumers'
import { createOutbound } from '../../lib/outbound.ts'
import { createPushSender, type PushNotice, type PushOptions, type PushTarget } from '../push-sender.ts'

/** What is to be sent, as JSON on standard input; the outcomes are JSON on standard output. */
export type Errand = {
  options: Omit<PushOptions, 'outbound'>
  allowed: string[]
  targets: PushTarget[]
  notice: Omit<PushNotice, 'expiresAt'> & { expiresAt: string }
}

const errand = JSON.parse(await text(process.stdin)) as Errand
const outbound = createOutbound({ userAgent: 'Maru', allowed: errand.allowed })
const sender = createPushSender({ ...errand.options, outbound })
const notice = { ...errand.notice, expiresAt: new Date(errand.notice.expiresAt) }
console.log(JSON.stringify(await Promise.all(errand.targets.map((target) => sender.send(target, notice)))))
await sender.close()
await outbound.close()
