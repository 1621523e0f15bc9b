import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { type RedisServer, startRedisProcess, withFreePort } from './redis-process.ts'

/** One node of a cluster. Killed and started again it is the same node, with the same slots and without its data. */
export type RedisClusterNode = RedisServer & {
  id: string
  port: number
  /** Asks this very node. Throws what it answers with. */
  ask(...command: [string, ...(string | number)[]]): Promise<unknown>
}

/** A Redis Cluster that a test may break. */
export type RedisCluster = {
  /** The address of one node, as an operator would give it. */
  url: string
  masters: RedisClusterNode[]
  /** One for each master, in their order, where the test asked for them. */
  replicas: RedisClusterNode[]
  /** The master that has the slot of this key or channel, as `masters[0]` sees it, or another where that is given. */
  ownerOf(key: string, asked?: RedisClusterNode): Promise<RedisClusterNode>
  /** Moves the slot of this key or channel, which must hold no data, as resharding does. */
  moveSlot(key: string, to: RedisClusterNode): Promise<void>
  /** Waits until every node that runs takes the cluster for whole. */
  isWhole(): Promise<void>
  stop(): Promise<void>
}

const slots = 16_384

/**
 * After so long without an answer the other nodes take one for gone. Redis' own is 15 seconds; a test should not wait so
 * long, and a machine that is busy must not lose its nodes over it. Milliseconds.
 */
const nodeTimeoutMs = 2_000

/** Starts a cluster of three masters on free ports of this machine, each with a replica and a password if asked for. */
export async function startRedisCluster(
  options: { replicas?: boolean; password?: string } = {},
): Promise<RedisCluster> {
  const folder = await mkdtemp(join(tmpdir(), 'maru-redis-cluster-'))
  const nodes: (RedisClusterNode & { busPort: number })[] = []
  for (let count = options.replicas === true ? 6 : 3; count > 0; count--) {
    nodes.push(await startNode(folder, options.password))
  }
  const masters = nodes.slice(0, 3)
  const replicas = nodes.slice(3)

  for (const [place, master] of masters.entries()) {
    const bounds = [place, place + 1].map((part) => Math.floor((part * slots) / masters.length))
    await master.ask('CLUSTER', 'ADDSLOTSRANGE', bounds[0]!, bounds[1]! - 1)
    await master.ask('CLUSTER', 'SET-CONFIG-EPOCH', place + 1)
  }
  for (const { port, busPort } of nodes.slice(1)) await nodes[0]!.ask('CLUSTER', 'MEET', '127.0.0.1', port, busPort)
  await everyNodeSays(`cluster_known_nodes:${nodes.length}`)
  for (const [place, replica] of replicas.entries()) await replica.ask('CLUSTER', 'REPLICATE', masters[place]!.id)
  await everyNodeSays('cluster_state:ok')
  for (const replica of replicas) await until(async () => String(await replica.ask('ROLE')).includes('connected'))

  /** Waits until all nodes that run say so in CLUSTER INFO. */
  async function everyNodeSays(line: string): Promise<void> {
    for (const node of nodes) {
      if (node.isRunning()) await until(async () => String(await node.ask('CLUSTER', 'INFO')).includes(`${line}\r\n`))
    }
  }

  const slotOf = async (key: string) => Number(await masters.find((node) => node.isRunning())!.ask('CLUSTER', 'KEYSLOT', key))

  async function ownerOf(key: string, asked: RedisClusterNode = masters[0]!) {
    const slot = await slotOf(key)
    const ranges = (await asked.ask('CLUSTER', 'SLOTS')) as [number, number, [string, number]][]
    const range = ranges.find(([first, last]) => first <= slot && slot <= last)!
    return nodes.find((node) => node.port === range[2][1])!
  }

  return {
    url: nodes[0]!.url,
    masters,
    replicas,
    ownerOf,
    async moveSlot(key, to) {
      const [slot, from] = [await slotOf(key), await ownerOf(key)]
      await to.ask('CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id)
      await from.ask('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id)
      for (const node of [to, from, ...masters.filter((other) => other !== to && other !== from)]) {
        await node.ask('CLUSTER', 'SETSLOT', slot, 'NODE', to.id)
      }
    },
    isWhole: () => everyNodeSays('cluster_state:ok'),
    async stop() {
      for (const node of nodes) await node.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

const startNode = (folder: string, password?: string): Promise<RedisClusterNode & { busPort: number }> =>
  withFreePort((busPort) => startNodeOn(busPort, folder, password))

async function startNodeOn(
  busPort: number,
  folder: string,
  password?: string,
): Promise<RedisClusterNode & { busPort: number }> {
  const flags = { port: busPort, enabled: 'yes', 'config-file': `nodes-${busPort}.conf`, 'node-timeout': nodeTimeoutMs }
  const server = await startRedisProcess([
    ...Object.entries(flags).flatMap(([name, value]) => [`--cluster-${name}`, String(value)]),
    '--dir',
    folder,
    // A replica is sent what it lacks at once, rather than after waiting for others.
    '--repl-diskless-sync-delay',
    '0',
    ...(password === undefined ? [] : ['--requirepass', password, '--masterauth', password]),
  ])
  const url = server.url.replace('//', password === undefined ? '//' : `//:${password}@`)
  const ask = async (...command: [string, ...(string | number)[]]) => {
    const redis = new Redis(url, { retryStrategy: () => null, lazyConnect: true, commandTimeout: 5_000 })
    redis.on('error', () => {})
    try {
      return await redis.call(...command)
    } finally {
      redis.disconnect()
    }
  }
  return { ...server, url, busPort, ask, id: String(await ask('CLUSTER', 'MYID')) }
}

/** Asks again until the answer is yes; a cluster agrees with itself by and by. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!(await isSo().catch(() => false))) {
    if (performance.now() > deadline) throw new Error('The Redis Cluster does not agree with itself.')
    await sleep(20)
  }
}
