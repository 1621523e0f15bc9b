/** A message as any of its readers sees it. */
export type Seen = { id: string; seq: number; content: string }

/** One send, however often it is tried. Its content is its key, so that a message says whose it is. */
export type Send = {
  channelId: string
  sender: number
  key: string
  content: string
  /** The newest seq that was acknowledged in the channel before this was sent for the first time. */
  floor: number
}

export type Ledger = ReturnType<typeof createLedger>

/** What a client may hold the server to: every acknowledgement, and the order in which they came. */
export function createLedger(channelIds: readonly string[]) {
  const channels = new Map(
    channelIds.map((channelId) => [
      channelId,
      { acknowledged: new Map<string, Seen & { send: Send }>(), newest: 0, length: 0, heard: 0 },
    ]),
  )
  let sends = 0

  function broken(what: string, ...details: unknown[]): never {
    throw new Error([what, ...details.map((detail) => JSON.stringify(detail))].join(' '))
  }

  return {
    channelIds,
    /** Sends that failed without anybody knowing whether they were stored. */
    unknown: [] as Send[],

    newSend(sender: number): Send {
      const channelId = channelIds[sends % channelIds.length]!
      const key = `send ${++sends}`
      return { channelId, sender, key, content: key, floor: channels.get(channelId)!.newest }
    },

    /** Notes an acknowledgement; of a send that was acknowledged before it must be the same. */
    acknowledge(send: Send, message: Seen): void {
      const channel = channels.get(send.channelId)!
      const before = channel.acknowledged.get(send.key)
      if (message.content !== send.content) broken('Another message was acknowledged:', send, message)
      if (before !== undefined && (before.id !== message.id || before.seq !== message.seq)) {
        broken('The same key gave two messages:', before, message)
      }
      if (message.seq <= send.floor) broken('A message stands before one that was acknowledged earlier:', send, message)
      channel.acknowledged.set(send.key, { id: message.id, seq: message.seq, content: message.content, send })
      channel.newest = Math.max(channel.newest, message.seq)
    },

    acknowledged: () => channels.values().reduce((sum, channel) => sum + channel.acknowledged.size, 0),

    /** Some of the sends that were acknowledged, to be sent again. */
    someAcknowledged(count: number): Send[] {
      const all = channels.values().flatMap((channel) => channel.acknowledged.values()).toArray()
      return Array.from({ length: count }, () => all[Math.floor(Math.random() * all.length)]!.send)
    },

    /** Messages that stand in the histories. */
    messages: () => channels.values().reduce((sum, channel) => sum + channel.length, 0),

    /** Checks a channel's history while it is read from its beginning, and at its end that nothing is missing. */
    readHistory(channelId: string) {
      const channel = channels.get(channelId)!
      const missing = new Map(channel.acknowledged)
      const keys = new Set<string>()
      let seq = 0
      return {
        read(message: Seen): void {
          if (message.seq !== ++seq) broken(`After seq ${seq - 1} comes`, message)
          if (keys.has(message.content)) broken('A message stands here twice:', message)
          keys.add(message.content)
          const acknowledged = missing.get(message.content)
          if (acknowledged === undefined) return
          if (acknowledged.id !== message.id || acknowledged.seq !== seq) broken('Moved:', acknowledged, message)
          missing.delete(message.content)
        },
        end(lastSeq: number): void {
          if (lastSeq !== seq) broken(`The history ends with ${seq}, and the channel with ${lastSeq}`)
          if (missing.size > 0) broken('Acknowledged and gone:', ...missing.values().take(5))
          channel.length = seq
        },
      }
    },

    /** Notes what somebody who listens to a channel is told; it must be the next message. */
    hear(channelId: string, message: Seen): void {
      const channel = channels.get(channelId)!
      if (message.seq !== ++channel.heard) broken(`After ${channel.heard - 1} the stream tells of`, message)
    },

    /** Whether who listens has heard all of the history. */
    hasHeardAll: (channelId: string) => channels.get(channelId)!.heard >= channels.get(channelId)!.length,
  }
}
