import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../random.ts'
import { broken } from './history.ts'
import { marginMs, pickPopular, type Stage } from './stage.ts'
import type { Store } from './store.ts'

/** Everything that may go wrong, by name. Each resolves when it is over. */
export function createFaults(store: Store, stage: Stage, random: Random) {
  const { deadlineMs } = stage.patience
  const which = () => random.pick(['one', 'all'] as const)
  const aWhile = () => Math.round(deadlineMs * (0.2 + 1.3 * random.next()))
  const client = () => random.pick(stage.clients)
  const door = () => random.pick(store.doors)
  return {
    'Postgres killed': () => store.kill('SIGKILL'),
    'Postgres told to drop everything': () => store.kill('SIGQUIT'),
    'a backend killed': () => store.killBackend(),
    // Longer than anybody may wait, so that whoever does is found out.
    'Postgres frozen': () => store.freeze('all', deadlineMs + marginMs + 500),
    'a backend frozen': () => store.freeze('one', aWhile()),
    'a session ended': () => store.terminate('one'),
    'all sessions ended': () => store.terminate('all'),
    'connections cut': () => Promise.resolve(void door().cut(which())),
    'answers lost': () => door().mute(which(), aWhile()),
    'a row held': () => store.hold(pickPopular(stage.channelIds, random), aWhile()).catch(() => {}),
    'a clock put elsewhere': () => Promise.resolve(client().jump('anywhere')),
    'a clock a year ahead': () => Promise.resolve(client().jump('leap')),
    'a client started anew': () => client().restart(),
  } satisfies Record<string, () => Promise<unknown>>
}

export type FaultName = keyof ReturnType<typeof createFaults>

/** Lets one thing after the other go wrong while a round lasts, each of them before any of them recurs. */
export function createTrouble(store: Store, stage: Stage, random: Random) {
  const faults = createFaults(store, stage, random)
  let left: FaultName[] = []
  return async function goWrong(onFault: () => void): Promise<void> {
    while (!stage.isRoundOver()) {
      if (left.length === 0) left = Object.keys(faults) as FaultName[]
      const [name] = left.splice(random.below(left.length), 1)
      await sleep(random.below(400))
      if (stage.history.over.aborted) return
      const fault: () => Promise<unknown> = faults[name!]
      // Postgres starts, and replays its log, as fast as it can.
      await stage.watch(name!, 30_000, fault)
      stage.history.count(name!)
      checkWorkers(stage)
      onFault()
    }
  }
}

/** No two clients have one worker number. */
function checkWorkers(stage: Stage): void {
  const workers = stage.clients.map((client) => client.worker()).filter((worker) => worker !== null)
  if (workers.length < stage.clients.length) stage.history.count('leases run out')
  if (new Set(workers).size < workers.length) broken('Two clients have one worker number:', workers)
}
