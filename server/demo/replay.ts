import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { MaruClientError, type MaruClient, SendMessageDocument, type SendMessageInput } from '../../client-sdk/index.ts'
import type { Entry } from '../import/entry.ts'
import type { Cast } from './cast.ts'

/** Nobody watches a channel in which nothing is said for longer, in milliseconds. */
const maxPauseMs = 5_000

/** How often a message is tried again while the server is away or asks to wait, and how long between. */
const attempts = 30
const retryMs = 1_000

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
    const messageId = await send(
      cast.get(line.author)!,
      {
        channelId,
        content: line.text,
        kind: line.action ? 'ACTION' : 'USER',
        replyToId: line.replyTo === null ? null : said.get(line.replyTo)!,
        // The same each time that it is tried: it is said once.
        idempotencyKey: randomUUID(),
      },
      signal,
    )
    if (line.id !== null) said.set(line.id, messageId)
    onSaid(line)
  }
}

async function send(client: MaruClient, input: SendMessageInput, signal: AbortSignal): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      const { sendMessage } = await client.request(SendMessageDocument, { input }, { signal })
      return sendMessage.message.id
    } catch (error) {
      if (!(error instanceof MaruClientError && error.retryable) || attempt === attempts) throw error
      await sleep(error.retryAfterMs ?? retryMs, undefined, { signal })
    }
  }
}
