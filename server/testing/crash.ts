import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocket } from 'ws'
import {
  CreateChannelDocument,
  createMaruClient,
  HistoryDocument,
  type MaruClient,
  MaruClientError,
  SendMessageDocument,
  SignUpDocument,
} from '../../client-sdk/index.ts'
import { createLedger, type Ledger, type Send } from './crash-ledger.ts'
import { postgresPid, type ServerProcess, startServer } from './server-process.ts'

/** Who is killed: the process and all of its Postgres, only the process, or only Postgres, which takes us along. */
export type Victim = 'both' | 'process' | 'postgres'

export type Round = {
  victim: Victim
  /** Sends that were acknowledged before the kill, and those of which nobody knew. */
  acknowledged: number
  unknown: number
  /** From the next start to ready, in milliseconds. */
  readyMs: number
  /** Messages in all channels, all of them looked at. */
  messages: number
}

/** Senders at once. Each has one send under way at any time. */
const lanes = 12

/** The moment of the kill, after so much time of sending: long enough for hundreds of sends. Milliseconds. */
const sendingMs = { least: 300, most: 1_200 }

/** How long a listener may need, at the end, to come back and hear what it has missed. Milliseconds. */
const hearingMs = 30_000

/**
 * Kills a real server in the midst of sends from three people to two channels, starts it again, and holds it to what it
 * had acknowledged; `rounds` times on the same data. Throws at the first message that is missing, doubled or out of
 * order. Meanwhile somebody listens to each channel through it all, and must have heard every message once, in order.
 */
export async function crashRounds(options: {
  dataDir: string
  victims: readonly Victim[]
  onRound?: (round: Round) => void
}): Promise<Round[]> {
  const env = { DATA_DIR: options.dataDir, ACCESS_TOKEN_MINUTES: '1440' }
  let server = startServer(env)
  const { url } = await server.ready
  const port = new URL(url!).port
  const people = await signUpAll(url!)
  const ledger = createLedger(await createChannels(people))
  const listeners = await Promise.all(ledger.channelIds.map((channelId) => listen(people[2]!.client, channelId, ledger)))

  const rounds: Round[] = []
  try {
    for (const victim of options.victims) {
      const before = ledger.acknowledged()
      await sendUntilKilled(server, victim, options.dataDir, people, ledger)
      const acknowledged = ledger.acknowledged() - before
      const unknown = ledger.unknown.length

      server = startServer({ ...env, PORT: port })
      const { afterMs } = await server.ready
      for (const send of ledger.unknown.splice(0)) await sendOnce(people, ledger, send)
      for (const send of ledger.someAcknowledged(20)) await sendOnce(people, ledger, send)
      for (const channelId of ledger.channelIds) await checkHistory(people[1]!.client, channelId, ledger)
      const round = { victim, acknowledged, unknown, readyMs: Math.round(afterMs), messages: ledger.messages() }
      rounds.push(round)
      options.onRound?.(round)
    }
    for (const listener of listeners) await listener.heardAll()
  } finally {
    for (const { client } of people) client.close()
    await server.end()
  }
  return rounds
}

type Person = { id: string; client: MaruClient }

async function signUpAll(url: string): Promise<Person[]> {
  const anybody = createMaruClient({ url })
  const names = ['alice', 'bob', 'carol']
  const signedUp = await Promise.all(
    names.map((username) => anybody.request(SignUpDocument, { input: { username, password: 'a long password' } })),
  )
  return signedUp.map(({ signUp }) => ({
    id: signUp.viewer.id,
    client: createMaruClient({
      url,
      webSocketImpl: WebSocket,
      token: () => signUp.accessToken,
      // A server that is being started again is asked often.
      retry: { minDelayMs: 50, maxDelayMs: 200 },
    }),
  }))
}

async function createChannels([alice, ...others]: Person[]): Promise<string[]> {
  const memberIds = others.map((person) => person.id)
  const channelIds: string[] = []
  for (const name of ['general', 'tea']) {
    const { createChannel } = await alice!.client.request(CreateChannelDocument, { input: { kind: 'GROUP', name, memberIds } })
    channelIds.push(createChannel.channel.id)
  }
  return channelIds
}

async function sendUntilKilled(
  server: ServerProcess,
  victim: Victim,
  dataDir: string,
  people: Person[],
  ledger: Ledger,
): Promise<void> {
  const over = new AbortController()
  const sending = Array.from({ length: lanes }, async (_, lane) => {
    while (!over.signal.aborted) await sendOnce(people, ledger, ledger.newSend(lane % people.length))
  })
  const before = ledger.acknowledged()
  await sleep(sendingMs.least + Math.random() * (sendingMs.most - sendingMs.least))
  while (ledger.acknowledged() - before < lanes) await sleep(10)

  const postgres = postgresPid(dataDir)!
  if (victim === 'both') killChildren(postgres)
  if (victim !== 'process') process.kill(postgres, 'SIGKILL')
  if (victim !== 'postgres') process.kill(server.pid, 'SIGKILL')
  over.abort()
  const exit = await server.exit
  const expected = victim === 'postgres' ? 1 : 'SIGKILL'
  if (exit !== expected) throw new Error(`The process ended with ${exit}, not ${expected}:\n${JSON.stringify(server.complaints())}`)
  if (server.output().includes('unforeseen error')) throw new Error(`The process was taken by surprise:\n${JSON.stringify(server.complaints())}`)
  await Promise.all(sending)
}

/** Kills everything that Postgres has started, before it can do so much as notice. */
function killChildren(postgres: number): void {
  process.kill(postgres, 'SIGSTOP')
  for (const child of childrenOf(postgres)) process.kill(child, 'SIGKILL')
}

/** At once, and not by a program that is started for it: sends must not come to their end meanwhile. */
function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`
  return existsSync(file) ? readFileSync(file, 'utf8').split(' ').filter(Boolean).map(Number) : []
}

/** Sends, or sends again; what nobody knows of is left in the ledger for the next round. */
async function sendOnce(people: Person[], ledger: Ledger, send: Send): Promise<void> {
  const { channelId, content, key: idempotencyKey } = send
  try {
    const input = { channelId, content, idempotencyKey }
    const { sendMessage } = await people[send.sender]!.client.request(SendMessageDocument, { input })
    ledger.acknowledge(send, sendMessage.message)
  } catch (error) {
    if (!(error instanceof MaruClientError) || !error.retryable) throw error
    ledger.unknown.push(send)
  }
}

async function checkHistory(client: MaruClient, channelId: string, ledger: Ledger): Promise<void> {
  const history = ledger.readHistory(channelId)
  for (let after: string | null = null; ; ) {
    const { channel }: { channel: any } = await client.request(HistoryDocument, { channelId, first: 100, after })
    for (const { node } of channel.messages.edges) history.read(node)
    if (!channel.messages.pageInfo.hasNextPage) return history.end(channel.lastSeq)
    after = channel.messages.pageInfo.endCursor
  }
}

/** Listens to a channel from its beginning, over all reconnects. */
async function listen(client: MaruClient, channelId: string, ledger: Ledger) {
  const { channel } = await client.request(HistoryDocument, { channelId, first: 1 })
  let failure: unknown
  async function hearAll() {
    for await (const event of client.messages({ channelId, after: channel!.cursor })) {
      if (event.kind === 'CREATED') ledger.hear(channelId, event.message)
    }
  }
  hearAll().catch((error: unknown) => {
    failure = error
  })
  return {
    /** Resolves when all that stands in the history was heard. */
    async heardAll(): Promise<void> {
      const deadline = Date.now() + hearingMs
      while (!ledger.hasHeardAll(channelId)) {
        if (failure !== undefined) throw failure
        if (Date.now() > deadline) throw new Error('Whoever listened has not heard all')
        await sleep(20)
      }
    },
  }
}
