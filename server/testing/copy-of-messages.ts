import { setTimeout as sleep } from 'node:timers/promises'
import { operation } from '../../schema/testing/operations.ts'
import { decodeCursor } from '../fanout/cursor.ts'
import { listen, type Listening } from './listen.ts'
import type { Random } from './random.ts'
import type { Person, Replica } from './test-app.ts'

/** A message as a device keeps it: what changes with it, and not with what it refers to. */
export type KeptMessage = { id: string; seq: number; version: number }

export const keptMessage = `
  id kind seq version content editedAt deletedAt pinnedAt replyCount
  author { id } replyTo { id } mentions { id } reactions { emoji count userIds }
`

type Event = { messages: { cursor: string; kind: string; message: KeptMessage } }
const messagesOperation = operation<Event, { channelId: string; after: string }>(`
  subscription CopyMessages($channelId: ID!, $after: String) {
    messages(channelId: $channelId, after: $after) { cursor kind message { ${keptMessage} } }
  }
`)

type Page = { edges: { node: KeptMessage }[]; pageInfo: { hasNextPage: boolean; endCursor: string | null } }
const historyOperation = operation<{ channel: { messages: Page } }, { channelId: string; after: string | null }>(`
  query CopyHistory($channelId: ID!, $after: String) {
    channel(id: $channelId) { messages(first: 100, after: $after) { edges { node { ${keptMessage} } } pageInfo { hasNextPage endCursor } } }
  }
`)

/** All messages of a channel, by id, as they are now. */
export async function fetchMessages(person: Person, channelId: string): Promise<Map<string, KeptMessage>> {
  const kept = new Map<string, KeptMessage>()
  let after: string | null = null
  do {
    const { channel }: { channel: { messages: Page } } = await person.client.request(historyOperation, { channelId, after })
    for (const { node } of channel.messages.edges) kept.set(node.id, node)
    after = channel.messages.pageInfo.hasNextPage ? channel.messages.pageInfo.endCursor : null
  } while (after !== null)
  return kept
}

/** What was told of one message: on which connection, and after which change that had begun. */
export type Told = { id: string; kind: string; connection: number; after: number }

/**
 * A device's copy of a channel's messages, kept from the stream alone: it breaks off at random, pauses at random, and
 * goes on from its cursor on any replica. `faults` says what a stream must never do.
 */
export function copyMessages(person: Person, replicas: readonly Replica[], channelId: string, start: string, random: Random) {
  const kept = new Map<string, KeptMessage>()
  const faults: string[] = []
  const told: Told[] = []
  let cursor = start
  let connection = 0
  let isOver = false
  let current: Listening<Event>

  function apply({ messages: { cursor: next, kind, message } }: Event, after: number) {
    const [before, now] = [decodeCursor(cursor)!.change, decodeCursor(next)!.change]
    if (now <= before) faults.push(`change ${now} after ${before}`)
    const known = kept.get(message.id)
    if (known !== undefined && message.version <= known.version) faults.push(`version ${message.version} after ${known.version}`)
    kept.set(message.id, message)
    told.push({ id: message.id, kind, connection, after })
    cursor = next
  }

  async function run() {
    while (!isOver) {
      connection++
      const after = decodeCursor(cursor)!.change
      // A device that breaks off after a few events does so in the midst of catching up.
      let left = random.chance(0.5) ? 1 + random.below(8) : Number.POSITIVE_INFINITY
      const listening = listen(random.pick(replicas), person, messagesOperation, { channelId, after: cursor }, (event) => {
        if (left <= 0) return
        apply(event, after)
        if (--left === 0) listening.cut()
      })
      current = listening
      const pauses = setInterval(() => {
        if (!random.chance(0.3)) return
        listening.pause()
        setTimeout(listening.resume, random.below(100))
      }, 50)
      const patience = sleep(200 + random.below(1_500), undefined, { ref: false })
      await Promise.race([listening.ended, patience])
      clearInterval(pauses)
      listening.cut()
      const end = await listening.ended
      if (end !== 'cut') faults.push(`ended with ${end}`)
      if (listening.failures.length > 0) faults.push(`failed with ${JSON.stringify(listening.failures)}`)
      if (random.chance(0.3)) await sleep(random.below(300))
    }
  }
  const running = run()

  return {
    kept,
    faults,
    told,
    /** Breaks off no more, but stays to the end. */
    async settle(isSettled: () => Promise<void>) {
      isOver = true
      await running
      const after = decodeCursor(cursor)!.change
      connection++
      current = listen(random.pick(replicas), person, messagesOperation, { channelId, after: cursor }, (event) => apply(event, after))
      try {
        await isSettled()
      } finally {
        current.stop()
      }
    },
  }
}
