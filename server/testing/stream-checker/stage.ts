import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../random.ts'
import type { Door } from '../store-checker/door.ts'
import type { Chronicle } from './chronicle.ts'
import { ask, Away, insist, type Wire } from './client.ts'
import type { Ledger } from './ledger.ts'
import type { Replica } from './replicas.ts'

/** Somebody with an account. */
export type Person = { id: string; username: string; token: string; refreshToken: string }

/** What everybody who takes part has in common. */
export type Stage = {
  chronicle: Chronicle
  ledger: Ledger
  replicas: readonly Replica[]
  /** One that runs, as a load balancer would choose it; mostly another than last time. */
  pickReplica(random: Random, last?: Replica | null): Replica
  /** Asks any replica, until one has answered. Throws what it refuses. */
  ask(person: Person | null, query: string, variables?: object): Promise<any>
  /** While it is calm nobody drops, and nothing goes wrong. */
  isCalm(): boolean
  setCalm(isCalm: boolean): void
  /** Whether somebody is lied to on purpose, and not to be waited for. */
  isLiedTo(name: string): boolean
  /** Sockets that nobody reads from any more. */
  abandoned: Set<Wire>
  /** Proxies that are not needed any more. */
  doors: Set<Door>
  /** Everything that goes on until it is over. */
  running: Set<Promise<void>>
}

export function createStage(
  chronicle: Chronicle,
  ledger: Ledger,
  replicas: readonly Replica[],
  random: Random,
  isLiedTo: (name: string) => boolean = () => false,
): Stage {
  let isCalm = true
  const pickReplica = (chooser: Random, last: Replica | null = null) => {
    const up = replicas.filter((replica) => replica.isUp())
    const others = up.filter((replica) => replica !== last)
    // Load balancers are late to notice: now and then one is tried that is not there.
    if (up.length === 0 || chooser.chance(0.03)) return chooser.pick(replicas)
    return chooser.pick(others.length > 0 && chooser.chance(0.8) ? others : up)
  }
  return {
    chronicle,
    ledger,
    replicas,
    pickReplica,
    ask: (person, query, variables) =>
      insist(() => ask(pickReplica(random).url, person?.token ?? null, query, variables), chronicle.over),
    isCalm: () => isCalm,
    setCalm(calm) {
      isCalm = calm
    },
    isLiedTo,
    abandoned: new Set(),
    doors: new Set(),
    running: new Set(),
  }
}

/** Waits until something is so, for at most so long; tells whether it has come about. */
export async function comesAbout(isSo: () => boolean | Promise<boolean>, ms: number): Promise<boolean> {
  for (const since = performance.now(); ; ) {
    // That nobody answers for now is no answer.
    const answer = await Promise.resolve(isSo()).catch((error: unknown) => {
      if (error instanceof Away) return false
      throw error
    })
    if (answer) return true
    if (performance.now() - since > ms) return false
    await sleep(50)
  }
}
