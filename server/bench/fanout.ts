import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { BroadcastOrder, BroadcastReport } from './broadcast-server.ts'
import { type BenchServer, startBenchServer } from './bench-server.ts'
import { type FrameCounter, openFrameCounter } from './frame-counter.ts'
import { inTurns, median, report } from './measure.ts'

const people = 50
const socketsEach = 10
const sockets = people * socketsEach
/** Messages in one round, and how many of them are under way at any time. */
const events = 200
const underWay = 16
const rounds = 5

const content = 'The quick brown fox jumps over the lazy dog, and then it goes home for tea. 다람쥐 헌 쳇바퀴에 타고파.'
const send = 'mutation ($input: SendMessageInput!) { sendMessage(input: $input) { message { id } } }'
const subscription = `subscription ($channelId: ID!) { messages(channelId: $channelId) { cursor kind message {
  id seq channel { id } author { id displayName avatarUrl } content createdAt editedAt pinnedAt replyCount
  reactions { emoji count } } } }`

/** What one side of the comparison gives in a round: how fast, and for how much. */
type Cost = { perSecond: number; cpuPerMillion: number }

/** Deliveries of one channel's messages to many sockets, beside `ws.send` of one prebuilt text to as many. */
export async function benchFanout(): Promise<void> {
  const maru = await startMaru()
  const bare = await startBare()
  try {
    const names = { bare: `ws.send of a prebuilt text, ${sockets} sockets`, maru: `subscription to one channel, ${sockets} sockets` }
    const costs: Record<keyof typeof names, Cost[]> = { bare: [], maru: [] }
    const measure = (name: keyof typeof names, side: Side) => async () => {
      const cost = await timeRound(side)
      costs[name].push(cost)
      return cost.perSecond
    }
    const figures = await inTurns(rounds, {
      [names.bare]: measure('bare', bare),
      [names.maru]: measure('maru', maru),
    })
    report('Deliveries a second', 'deliveries/s', figures, names.bare)
    const cpu = (side: keyof typeof names) => median(costs[side].map((cost) => cost.cpuPerMillion))
    const cpuFigures = { [names.bare]: cpu('bare'), [names.maru]: cpu('maru') }
    report('Processor time of the server for a million deliveries', 's', cpuFigures, names.bare)
  } finally {
    await bare.stop()
    await maru.stop()
  }
}

/** One of the two sides. */
type Side = {
  counter: FrameCounter
  /** Makes every socket hear every event; resolves when all are on their way. */
  sendAll(): Promise<unknown>
  /** Processor time that the server has used so far. */
  cpuSeconds(): Promise<number>
  stop(): unknown
}

async function timeRound({ counter, sendAll, cpuSeconds }: Side): Promise<Cost> {
  const deliveries = events * sockets
  const cpuBefore = await cpuSeconds()
  const started = performance.now()
  await Promise.all([counter.next(deliveries), sendAll()])
  const seconds = (performance.now() - started) / 1_000
  const cpu = (await cpuSeconds()) - cpuBefore
  return { perSecond: deliveries / seconds, cpuPerMillion: (cpu / deliveries) * 1e6 }
}

async function startMaru(): Promise<Side> {
  const server = await startBenchServer()
  const tokens: string[] = []
  const memberIds: string[] = []
  for (let n = 0; n < people; n++) {
    const { signUp } = await server.run<{ signUp: { accessToken: string; viewer: { id: string } } }>(
      'mutation ($input: SignUpInput!) { signUp(input: $input) { accessToken viewer { id } } }',
      { input: { username: `listener${n}`, password: 'a long password' } },
    )
    tokens.push(signUp.accessToken)
    memberIds.push(signUp.viewer.id)
  }
  const { createChannel } = await server.run<{ createChannel: { channel: { id: string } } }>(
    'mutation ($input: CreateChannelInput!) { createChannel(input: $input) { channel { id } } }',
    { input: { kind: 'GROUP', name: 'fanout', memberIds } },
    tokens[0],
  )
  const channelId = createChannel.channel.id
  const subscribe = JSON.stringify({ id: '1', type: 'subscribe', payload: { query: subscription, variables: { channelId } } })
  const greetings = Array.from({ length: sockets }, (_, n) => [
    JSON.stringify({ type: 'connection_init', payload: { token: tokens[n % people] } }),
    subscribe,
  ])
  const counter = await openFrameCounter(new URL(server.url), 'graphql-transport-ws', greetings)
  const deadline = Date.now() + 10_000
  while ((await metric(server, 'maru_subscriptions_active')) < sockets) {
    if (Date.now() > deadline) throw new Error('Not every subscription was accepted')
    await sleep(50)
  }
  const input = { channelId, content }
  return {
    counter,
    cpuSeconds: () => metric(server, 'process_cpu_seconds_total'),
    sendAll() {
      let left = events
      const lane = async (token: string) => {
        while (left-- > 0) await server.run(send, { input }, token)
      }
      return Promise.all(tokens.slice(0, underWay).map(lane))
    },
    async stop() {
      counter.close()
      await server.stop()
    },
  }
}

/** The sum of a metric of the server's, over all of its labels. */
async function metric(server: BenchServer, name: string): Promise<number> {
  const text = await (await fetch(new URL('/metrics', server.url))).text()
  const lines = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}

async function startBare(): Promise<Side> {
  const child = fork(fileURLToPath(new URL('./broadcast-server.ts', import.meta.url)))
  const [{ port }] = (await once(child, 'message')) as [BroadcastReport]
  const url = new URL(`http://127.0.0.1:${port}/`)
  const counter = await openFrameCounter(url, 'bare', Array.from({ length: sockets }, () => []))
  const order = async (times: number) => {
    // As long as what the subscription above sends.
    child.send({ times, text: 'x'.repeat(620) } satisfies BroadcastOrder)
    const [answer] = (await once(child, 'message')) as [BroadcastReport]
    return answer
  }
  return {
    counter,
    sendAll: () => order(events),
    cpuSeconds: async () => (await order(0)).cpuSeconds,
    stop() {
      counter.close()
      child.disconnect()
    },
  }
}
