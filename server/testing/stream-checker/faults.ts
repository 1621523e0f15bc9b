import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../random.ts'
import type { Store } from '../store-checker/store.ts'
import type { Bus } from './bus.ts'
import type { Replica } from './replicas.ts'
import type { Stage } from './stage.ts'

type Faults = Record<string, () => Promise<unknown>>

/** What may go wrong with replicas. `mortal` are those that may end; any may stop for a while. */
function replicaFaults(stage: Stage, mortal: readonly Replica[], random: Random): Faults {
  const { chronicle, replicas } = stage
  const end = async (signal: 'SIGKILL' | 'SIGTERM') => {
    const replica = random.pick(mortal)
    chronicle.note(replica.name, signal === 'SIGKILL' ? 'killed' : 'drained')
    await replica.end(signal)
    chronicle.note(replica.name, 'gone')
    await sleep(random.below(3_000))
    await replica.start()
  }
  return {
    'a replica killed': () => end('SIGKILL'),
    'a replica drained': () => end('SIGTERM'),
    async 'a replica frozen'() {
      const replica = random.pick(replicas)
      chronicle.note(replica.name, 'frozen')
      await replica.freeze(1_000 + random.below(5_000))
      chronicle.note(replica.name, 'thawed')
    },
  }
}

/** What may go wrong with Postgres, and between it and the replicas. */
function storeFaults(store: Store, stage: Stage, channelIds: readonly string[], random: Random): Faults {
  const which = () => random.pick(['one', 'all'] as const)
  const door = () => random.pick(store.doors)
  return {
    'Postgres killed': () => store.kill('SIGKILL'),
    'Postgres restarted': () => store.kill('SIGQUIT'),
    // Longer than a server waits for its store.
    'Postgres frozen': () => store.freeze('all', 1_500 + random.below(6_500)),
    'sessions of Postgres ended': () => store.terminate(which()),
    'connections to Postgres cut': async () => door().cut(which()),
    'answers of Postgres lost': () => door().mute(which(), 500 + random.below(5_000)),
    'a channel’s row held': () => store.hold(random.pick(channelIds), 300 + random.below(3_000)).catch(() => {}),
  }
}

/** Lets one thing after the other go wrong, each of them before any of them recurs. */
function createLane(faults: Faults, stage: Stage, quietMs: number, random: Random) {
  const { chronicle } = stage
  let left: string[] = []
  return async (isOver: () => boolean): Promise<void> => {
    while (!isOver()) {
      if (left.length === 0) left = Object.keys(faults)
      await sleep(random.below(quietMs))
      if (isOver()) return
      const [name] = left.splice(random.below(left.length), 1)
      chronicle.note('fault', name!)
      await faults[name!]!()
      chronicle.note('fault', `${name}: over`)
      chronicle.count(`fault: ${name}`)
    }
  }
}

/**
 * Everything that may go wrong: in two lanes, so that a replica may die while Redis or Postgres is away, but neither
 * Redis and Postgres at once, nor two replicas. `mortal` replicas may end; `quietMs` is the most between two faults.
 */
export function createTrouble(
  stage: Stage,
  store: Store,
  bus: Bus,
  options: { mortal: readonly Replica[]; channelIds: readonly string[]; quietMs: number },
  fork: () => Random,
) {
  const { mortal, channelIds, quietMs } = options
  const random = fork()
  const lanes = [
    createLane(replicaFaults(stage, mortal, random), stage, quietMs, fork()),
    createLane({ ...bus.faults(random), ...storeFaults(store, stage, channelIds, random) }, stage, quietMs, fork()),
  ]
  return (isOver: () => boolean): Promise<unknown> => Promise.all(lanes.map((lane) => lane(isOver)))
}
