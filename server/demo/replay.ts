import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { SendMessageDocument, type SendMessageInput } from '../../client-sdk/index.ts'
import type { Entry } from '../import/entry.ts'
import type { Cast } from './cast.ts'
import { patiently } from './patience.ts'

/** Nobody watches a channel in which nothing is said for longer, in milliseconds. */
const maxPauseMs = 5_000

/** A server that restarts is waited for. */
const passing = ['NETWORK', 'UNAVAILABLE', 'RATE_LIMITED', 'INTERNAL']

/** Has the cast say the lines of a talk, `speed` times as fast as they were said. `onSaid` is told of each. */
export async function replay(
  cast: Cast,
  channelId: string,
  lines: readonly Entry[],
  speed: number,
  signal: AbortSignal,
  onSaid: (line: Entry) => void,
): Promise<void> {
  const said = new Map<string, string>()
  let last = lines[0]?.at ?? 0
  for (const line of lines) {
    await sleep(Math.min((line.at - last) / speed, maxPauseMs), undefined, { signal })
    last = line.at
    const input: SendMessageInput = {
      channelId,
      content: line.text,
      kind: line.action ? 'ACTION' : 'USER',
      replyToId: line.replyTo === null ? null : said.get(line.replyTo)!,
      // The same each time that it is tried: it is said once.
      idempotencyKey: randomUUID(),
    }
    const client = cast.get(line.author)!
    const { sendMessage } = await patiently(
      passing,
      () => client.request(SendMessageDocument, { input }, { signal }),
      signal,
    )
    if (line.id !== null) said.set(line.id, sendMessage.message.id)
    onSaid(line)
  }
}
