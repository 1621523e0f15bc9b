import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { startEmbeddedPostgres } from '../../lib/embedded-postgres.ts'
import { type BenchServer, startBenchServer } from '../bench-server.ts'
import type { Script } from './load-socket.ts'
import { childrenOf } from './processes.ts'
import { collectGarbageOf, garbageFlags, type Side } from './side.ts'

/** Replicas of Maru on one database, and people who are signed up. */
export type Deployment = {
  replicas: readonly BenchServer[]
  people: readonly Person[]
  pids(): number[]
  stop(): Promise<void>
}

export type Person = { id: string; token: string }

/** A Postgres that several deployments may use, each with a database of its own. */
export type Store = {
  /** An empty database. */
  makeDatabase(): Promise<string>
  /** Its processes. */
  pids(): number[]
  stop(): Promise<void>
}

/** Starts an embedded Postgres on the cores that this process has. */
export async function startStore(): Promise<Store> {
  const dataDir = await mkdtemp(join(tmpdir(), 'maru-bench-store-'))
  const before = new Set(childrenOf(process.pid))
  const server = await startEmbeddedPostgres({ dataDir })
  const postmasters = childrenOf(process.pid).filter((pid) => !before.has(pid))
  let made = 0
  return {
    async makeDatabase() {
      const name = `bench_${++made}`
      const sql = postgres(server.url, { max: 1, onnotice: () => {} })
      await sql.unsafe(`create database ${name}`)
      await sql.end()
      return Object.assign(new URL(server.url), { pathname: `/${name}` }).href
    },
    pids: () => postmasters.flatMap((pid) => [pid, ...childrenOf(pid).flatMap((child) => [child, ...childrenOf(child)])]),
    async stop() {
      await server.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

export type DeploymentOptions = {
  databaseUrl: string
  /** Several need `redisUrl`; 1 where it is left out. */
  replicas?: number
  redisUrl?: string
  /** So many that are signed up, or some who are on this database already; 50 where it is left out. */
  people?: number | readonly Person[]
  /** Whether they share the core of the servers, as they do where it is left out, or run wherever there is room. */
  isPinned?: boolean
}

/** One password is hashed on each thread of the server at a time. */
const signUpsAtOnce = 8

/** Starts replicas on one database, and signs people up. */
export async function startMaru(options: DeploymentOptions): Promise<Deployment> {
  const { databaseUrl, replicas: count = 1, redisUrl, people: wanted = 50, isPinned = true } = options
  const env = {
    ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl }),
    // So many sockets have as many users in life; here a few people have them all.
    MAX_SOCKETS_PER_USER: '1000000',
    MAX_SUBSCRIPTIONS_PER_USER: '1000000',
    ACCESS_TOKEN_MINUTES: '1440',
  }
  const replicas: BenchServer[] = []
  for (let nth = 0; nth < count; nth++) {
    replicas.push(await startBenchServer({ databaseUrl, env, nodeFlags: garbageFlags, isPinned }))
  }
  const people = typeof wanted === 'number' ? await signUp(replicas[0]!, wanted) : wanted
  return {
    replicas,
    people,
    pids: () => replicas.map((replica) => replica.pid),
    async stop() {
      for (const replica of replicas) await replica.stop()
    },
  }
}

async function signUp(server: BenchServer, many: number): Promise<Person[]> {
  const people: Person[] = []
  let next = 0
  const mutation = 'mutation ($input: SignUpInput!) { signUp(input: $input) { accessToken viewer { id } } }'
  const lane = async () => {
    while (next < many) {
      const nth = next++
      const input = { username: `listener${nth}`, password: 'a long password' }
      const made = await server.run<{ signUp: { accessToken: string; viewer: { id: string } } }>(mutation, { input })
      people[nth] = { id: made.signUp.viewer.id, token: made.signUp.accessToken }
    }
  }
  await Promise.all(Array.from({ length: signUpsAtOnce }, lane))
  return people
}

/** Makes a channel with these people in it; the first is its owner. Gives its id. */
export async function makeChannel(
  { replicas: [server] }: Deployment,
  members: readonly Person[],
  kind: 'PUBLIC' | 'GROUP',
): Promise<string> {
  const [owner, ...others] = members
  const input = { kind, name: 'bench', ...(kind === 'GROUP' && { memberIds: others.map((person) => person.id) }) }
  const create = 'mutation ($input: CreateChannelInput!) { createChannel(input: $input) { channel { id } } }'
  const made = await server!.run<{ createChannel: { channel: { id: string } } }>(create, { input }, owner!.token)
  const channelId = made.createChannel.channel.id
  const join = 'mutation ($channelId: ID!) { joinChannel(channelId: $channelId) { channel { id } } }'
  if (kind === 'PUBLIC') for (const { token } of others) await server!.run(join, { channelId }, token)
  return channelId
}

/** Sends a message, as a client would. */
export function sendMessage(server: BenchServer, { token }: Person, channelId: string, content: string): Promise<unknown> {
  const send = 'mutation ($input: SendMessageInput!) { sendMessage(input: $input) { message { id } } }'
  return server.run(send, { input: { channelId, content, idempotencyKey: randomUUID() } }, token)
}

/** The message of the comparison: what there is of it here, and as many fields as the peers have. */
export const messageFields = `id seq channel { id } author { id displayName avatarUrl } content createdAt editedAt
  pinnedAt replyCount reactions { emoji count }`

export const messagesSubscription = `subscription ($channelId: ID!) { messages(channelId: $channelId) {
  cursor message { ${messageFields} } } }`

/** What a client of graphql-ws says for one subscription, under an id of its own unless one is given. */
export const subscriber = (
  server: BenchServer,
  { token }: Person,
  query: string,
  variables: object,
  id: string = randomUUID(),
): Script => ({
  url: server.url,
  protocol: 'graphql-transport-ws',
  says: [
    JSON.stringify({ type: 'connection_init', payload: { token } }),
    JSON.stringify({ id, type: 'subscribe', payload: { query, variables } }),
  ],
})

/** Which ids the subscriptions have: each its own, as clients make them, or all the same. */
export type Ids = 'unique' | 'equal'

/** A side whose sockets are spread over the replicas of a deployment; everybody publishes on the first. */
export async function maruSide(name: string, deployment: Deployment, ids: Ids = 'unique', query = messagesSubscription) {
  const { replicas, people } = deployment
  const channelId = await makeChannel(deployment, people, 'PUBLIC')
  return {
    name,
    pids: deployment.pids,
    scripts: (sockets) =>
      Array.from({ length: sockets }, (_, nth) =>
        subscriber(
          replicas[nth % replicas.length]!,
          // A stride that shares no factor with the replicas, so that everybody is on each of them.
          people[Math.floor(nth / replicas.length) % people.length]!,
          query,
          { channelId },
          ids === 'equal' ? '1' : undefined,
        ),
      ),
    publish: (content, lane) => sendMessage(replicas[0]!, people[lane % people.length]!, channelId, content),
    collectGarbage: () => collectGarbageOf(deployment.pids()),
    stop: async () => {},
  } satisfies Side
}
