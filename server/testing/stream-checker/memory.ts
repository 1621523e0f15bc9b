import type { Replica } from './replicas.ts'
import { comesAbout, type Stage } from './stage.ts'
import { serverPatienceMs } from './device.ts'

export type Weight = { heap: number; resident: number }

const MB = 1024 * 1024

/**
 * How much more a replica may hold when everybody has gone than it did the last time that everybody had gone, before
 * anything went wrong. Heap: after a full collection, so that it is what is really held; caches that had not been full
 * take some. Resident: an allocator does not give back all that it had to take in the worst moment.
 */
export const tolerance: Weight = { heap: 24 * MB, resident: 200 * MB }

/** Waits until nobody is connected, and weighs each replica. */
export async function weighAll(stage: Stage): Promise<Map<Replica, Weight>> {
  const open = async () => {
    const counts: { name: string; sockets: number; subscriptions: number }[] = []
    for (const replica of stage.replicas) {
      const metrics = await replica.metrics()
      const value = (key: string) => metrics.get(key) ?? 0
      counts.push({ name: replica.name, sockets: value('maru_sockets_open'), subscriptions: value('maru_subscriptions_active') })
    }
    return counts.filter(({ sockets, subscriptions }) => sockets + subscriptions > 0)
  }
  const isEmpty = await comesAbout(async () => (await open()).length === 0, serverPatienceMs + 15_000)
  if (!isEmpty) stage.chronicle.find('memory', 'all', 'Sockets or subscriptions are left of people who have gone.', await open())
  const weights = new Map<Replica, Weight>()
  for (const replica of stage.replicas) weights.set(replica, await replica.weigh())
  return weights
}

/** Holds what the replicas hold at the end against what they held at the beginning. */
export function compareWeights(stage: Stage, before: ReadonlyMap<Replica, Weight>, after: ReadonlyMap<Replica, Weight>): void {
  for (const kind of ['heap', 'resident'] as const) {
    const most = Math.max(...before.values().map((weight) => weight[kind])) + tolerance[kind]
    for (const [replica, weight] of after) {
      if (weight[kind] <= most) continue
      const evidence = { before: inMB(before.get(replica)!), after: inMB(weight), most: Math.round(most / MB) }
      stage.chronicle.find('memory', replica.name, `It keeps more ${kind} memory than it did.`, [evidence])
    }
  }
}

export const inMB = ({ heap, resident }: Weight) => ({ heap: Math.round(heap / MB), resident: Math.round(resident / MB) })
