import { Redis } from 'ioredis'
import { redisError } from '../lib/redis-errors.ts'
import { redisSettings } from '../lib/redis.ts'
import type { RedisAddress } from '../lib/redis-url.ts'
import { readSlots, type SlotRange } from './redis-slots.ts'

/** Channels in one SUBSCRIBE: a call takes only so many arguments, and Redis does nothing else meanwhile. */
const channelsAtOnce = 1_000

/**
 * What may be on its way to a Redis without an answer: it takes seconds to find out that one is frozen, and what is
 * published meanwhile is kept in memory. Counted in UTF-16 code units, and `commandOverhead` bytes for what a command
 * takes besides.
 */
const maxUnanswered = 32 * 1024 * 1024
const commandOverhead = 1_000

/** One Redis on which channels live: the only one, or a master of a cluster with its share of them. */
export type Shard = {
  publish(channel: string, payload: string): void
  /** Resolves once the channel is listened to, or at once where the shard is away: it will be when it is back. */
  listen(channel: string): Promise<void>
  forget(channel: string): void
  /** Whether it takes what is published, and sends what is listened to. */
  isUp(): boolean
  /** Who has which slots as this node sees it. */
  askSlots(): Promise<SlotRange[]>
  /** To be called every few seconds: who only listens would not notice a peer that has vanished. */
  beat(): void
  close(): void
}

export type ShardOptions = {
  address: RedisAddress
  /** In a cluster channels are sharded: a node carries those in its own slots, and knows nothing of the others. */
  isSharded: boolean
  onMessage: (channel: string, payload: string) => void
  /** Called when all channels are listened to after a time in which some were not. */
  onListening: () => void
  /** Called when the node says that it has not, or no longer, what it was asked for. */
  onMoved: () => void
  onError: (error: Error) => void
  /** Called for each payload that was not published, or perhaps not. */
  onLost: () => void
}

/**
 * Connects to a Redis, for as long as it takes and again after every break. Two connections: what is published does not
 * wait behind a flood of what is listened to, which Redis cuts off where it is too much.
 */
export function openShard(options: ShardOptions): Shard {
  const complain = (error: Error) => options.onError(redisError(options.address, error))
  const publisher = openPublisher(options, complain)
  const listener = openListener(options, complain)
  return {
    publish: publisher.publish,
    listen: listener.listen,
    forget: listener.forget,
    isUp: () => listener.isListening() && publisher.isReady(),
    askSlots: publisher.askSlots,
    beat() {
      publisher.beat()
      listener.beat()
    },
    close() {
      publisher.close()
      listener.close()
    },
  }
}

function openPublisher({ address, isSharded, onLost, onMoved }: ShardOptions, complain: (error: Error) => void) {
  // A timer for each command would cost as much as the command. `socketTimeout` ends them all.
  const { commandTimeout: _, ...settings } = redisSettings
  const redis = new Redis({ ...address, ...settings })
  redis.on('error', complain)

  let isCorked = false
  /** All that is published in one tick goes out in one write. */
  function cork() {
    if (isCorked) return
    isCorked = true
    const { stream } = redis
    stream.cork()
    process.nextTick(() => {
      isCorked = false
      stream.uncork()
    })
  }

  let unanswered = 0
  const isReady = () => redis.status === 'ready'
  return {
    isReady,
    publish(channel: string, payload: string) {
      if (!isReady() || unanswered > maxUnanswered) return onLost()
      const size = channel.length + payload.length + commandOverhead
      unanswered += size
      cork()
      const sent = isSharded ? redis.spublish(channel, payload) : redis.publish(channel, payload)
      sent.then(
        () => {
          unanswered -= size
        },
        (error: Error) => {
          unanswered -= size
          onLost()
          // To send it to where the channel is now would let what is published next overtake it.
          if (error.message.startsWith('MOVED ')) onMoved()
          else if (isReady()) complain(error)
        },
      )
    },
    askSlots: async () => readSlots(await redis.cluster('SLOTS'), address),
    beat() {
      // Who does not answer is disconnected by `socketTimeout`; there is nothing else to do about it.
      if (isReady()) redis.ping().catch(() => {})
    },
    close: () => redis.disconnect(),
  }
}

function openListener(options: ShardOptions, complain: (error: Error) => void) {
  const { address, isSharded, onMoved } = options
  // All is subscribed anew below, so that it is known when that is done.
  const redis = new Redis({ ...address, ...redisSettings, autoResubscribe: false })
  redis.on('error', complain)
  redis.on(isSharded ? 'smessage' : 'message', options.onMessage)
  redis.on('moved', onMoved)
  redis.on('ready', () => {
    isConnected = true
    for (const channel of wanted) doubtful.add(channel)
    void flushSoon()
  })
  redis.on('close', () => {
    isConnected = isListening = false
    asked.clear()
  })

  /** What is to be listened to. */
  const wanted = new Set<string>()
  /** What this connection has asked for. */
  const asked = new Set<string>()
  /** Where the two may differ. */
  const doubtful = new Set<string>()
  /** Grows with each change to `asked`. */
  let asks = 0
  let isConnected = false
  /** To everything that is wanted, as far as it was not asked for just now. */
  let isListening = false
  /** When everything that was asked for so far is answered: Redis answers in order. */
  let answered: Promise<void> = Promise.resolve()
  let flushing: Promise<void> | null = null

  /** Asks for what is doubtful, all of one tick together. Resolves when that is answered. */
  function flushSoon(): Promise<void> {
    flushing ??= new Promise<void>((resolve) => process.nextTick(resolve)).then(() => {
      flushing = null
      flush()
      return answered.then(closeGap)
    })
    return flushing
  }

  function flush() {
    const [more, less]: [string[], string[]] = [[], []]
    for (const channel of isConnected ? doubtful : []) {
      if (wanted.has(channel) !== asked.has(channel)) (wanted.has(channel) ? more : less).push(channel)
    }
    doubtful.clear()
    if (more.length + less.length === 0) return
    asks++
    for (const channel of more) asked.add(channel)
    for (const channel of less) asked.delete(channel)
    redis.stream.cork()
    const commands = [
      ...inCommands(more).map((channels) => subscribe(channels).catch((error: Error) => onRefused(channels, error))),
      // A node that no longer has the channel has ended the subscription itself.
      ...inCommands(less).map((channels) => unsubscribe(channels).catch(() => {})),
    ]
    redis.stream.uncork()
    answered = Promise.all(commands).then(() => {})
  }

  /** The channels of one command must be in one slot, so that in a cluster each has its own. */
  function inCommands(channels: readonly string[]): string[][] {
    const size = isSharded ? 1 : channelsAtOnce
    const count = Math.ceil(channels.length / size)
    return Array.from({ length: count }, (_, place) => channels.slice(place * size, (place + 1) * size))
  }
  const subscribe = (channels: string[]) => (isSharded ? redis.ssubscribe(...channels) : redis.subscribe(...channels))
  const unsubscribe = (channels: string[]) =>
    isSharded ? redis.sunsubscribe(...channels) : redis.unsubscribe(...channels)

  /** Everything is asked for anew once connected again, and at the next beat where that is not why. */
  function onRefused(channels: readonly string[], error: Error) {
    if (redis.status !== 'ready') return
    asks++
    for (const channel of channels) {
      asked.delete(channel)
      if (wanted.has(channel)) doubtful.add(channel)
    }
    isListening = false
    if (error.message.startsWith('MOVED ')) onMoved()
    else complain(error)
  }

  function closeGap() {
    if (!isConnected || redis.status !== 'ready' || isListening || flushing !== null || doubtful.size > 0) return
    isListening = true
    options.onListening()
  }

  /**
   * Asks Redis how many channels it sends to this connection, and starts anew where that is not what was asked for. A
   * node that gives a slot away and takes it back has ended what was subscribed there, and all else seems as before; one
   * that answered too late for `commandTimeout` may have done what it was taken not to have done.
   */
  async function compare(): Promise<void> {
    const before = asks
    const info = String(await redis.client('INFO'))
    const count = new RegExp(` ${isSharded ? 'ssub' : 'sub'}=(\\d+)`).exec(info)?.[1]
    if (count !== undefined && before === asks && isListening && Number(count) !== asked.size) redis.disconnect(true)
  }

  return {
    isListening: () => isListening,
    async listen(channel: string) {
      wanted.add(channel)
      doubtful.add(channel)
      await flushSoon()
    },
    forget(channel: string) {
      wanted.delete(channel)
      doubtful.add(channel)
      void flushSoon()
    },
    beat() {
      if (!isConnected) return
      if (doubtful.size > 0) void flushSoon()
      // Where Redis is too old for the question, or this user may not ask it, any sign of life will do.
      compare().catch(() => redis.ping().catch(() => {}))
    },
    close: () => redis.disconnect(),
  }
}
