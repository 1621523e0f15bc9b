import { setTimeout as sleep } from 'node:timers/promises'
import { node, type ServerProcess, startProcess } from '../../../server/testing/server-process.ts'
import type { Random } from '../../../server/testing/random.ts'
import type { Blow, Ledger } from './ledger.ts'

/** One worker process after the other, as whatever keeps a service running starts them. */
export type Worker = {
  name: string
  start(): Promise<void>
  kill(): Promise<void>
  /** Asks it to end, and waits until it has. */
  end(): Promise<void>
  freeze(ms: number): Promise<void>
}

/** Shorter than a job stays with a worker that says nothing (10 s), and longer. Milliseconds. */
const freezeMs = { short: 4_000, long: 16_000 }
export const longestFreezeMs = freezeMs.long

/** What a worker did by itself that it should not: to be told as a fault. */
export type OnFault = (text: string) => void

/** A worker, which is not started yet. */
export function createWorker(name: string, env: Record<string, string>, ledger: Ledger, onFault: OnFault): Worker {
  let child: ServerProcess | null = null

  const note = (how: Blow['how'], from: number): Blow => {
    const blow = { how, who: name, from, to: Infinity }
    ledger.blows.push(blow)
    return blow
  }

  async function start(): Promise<void> {
    const started = startProcess(node, ['workers/main.ts'], env)
    child = started
    void started.exit.then((exit) => {
      if (child !== started) return
      child = null
      onFault(`${name} has ended by itself, with ${exit}: ${started.output().slice(-2_000)}`)
    })
    await started.ready
  }

  async function stop(how: 'killed' | 'ended', signal: NodeJS.Signals): Promise<void> {
    const stopping = child
    if (stopping === null) return
    child = null
    const blow = note(how, Date.now())
    const exit = await stopping.end(signal)
    blow.to = Date.now()
    if (how === 'killed' || exit === 0) return
    onFault(`${name} was asked to end, and did with ${exit}: ${stopping.output().slice(-2_000)}`)
  }

  return {
    name,
    start,
    kill: () => stop('killed', 'SIGKILL'),
    end: () => stop('ended', 'SIGTERM'),
    async freeze(ms) {
      if (child === null) return
      const { pid } = child
      const blow = note('frozen', Date.now())
      process.kill(pid, 'SIGSTOP')
      await sleep(ms)
      process.kill(pid, 'SIGCONT')
      blow.to = Date.now()
    },
  }
}

/** Lets one thing after the other go wrong with workers, each of them before any recurs, until it is over. */
export async function giveBlows(
  workers: readonly Worker[],
  random: Random,
  isOver: () => boolean,
  quietMs: number,
): Promise<void> {
  const downMs = () => 200 + random.below(3_000)
  const blows: (() => Promise<void>)[] = [
    async () => {
      const worker = random.pick(workers)
      await worker.kill()
      await sleep(downMs())
      await worker.start()
    },
    async () => {
      const worker = random.pick(workers)
      await worker.end()
      await sleep(downMs())
      await worker.start()
    },
    () => random.pick(workers).freeze(500 + random.below(freezeMs.short)),
    () => random.pick(workers).freeze(freezeMs.short + random.below(freezeMs.long - freezeMs.short)),
    // Nobody works for a while: what is said meanwhile comes all at once.
    async () => {
      await Promise.all(workers.map((worker) => worker.kill()))
      await sleep(downMs() * 2)
      await Promise.all(workers.map((worker) => worker.start()))
    },
  ]
  let left: typeof blows = []
  while (!isOver()) {
    await sleep(random.below(quietMs))
    if (isOver()) return
    // Kills come twice as often as the others.
    if (left.length === 0) left = [...blows, blows[0]!]
    await left.splice(random.below(left.length), 1)[0]!()
  }
}
