import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Account, run } from './embedded-postgres-setup.ts'

/** A fast shutdown ends sessions and writes a checkpoint, which is most often done in a tenth of this. */
const FAST_SHUTDOWN_MS = 2_000
/** Enough for processes that drop everything, and all that is left of 5 seconds to be ready in. */
const IMMEDIATE_SHUTDOWN_MS = 1_000

/**
 * Stops every Postgres process that still works on `folder`, left behind by a process that was killed, and then removes
 * its `postmaster.pid`. Call it only under the lock on DATA_DIR: the processes are nobody's then.
 *
 * That file alone says too little: its pid may be another program's by now, which would keep Postgres from starting.
 * And the server it names may be gone while its children still run.
 */
export async function stopLeftovers(folder: string, account: Account, log: (line: string) => void): Promise<void> {
  const pidFile = join(folder, 'postmaster.pid')
  const leftovers = await findLeftovers(folder, account)
  if (leftovers.length > 0) {
    const postmaster = Number.parseInt(await readFile(pidFile, 'utf8').catch(() => ''))
    log(`stopping a Postgres that was left behind (pids ${leftovers.join(', ')})`)
    const steps: [NodeJS.Signals, number, (pid: number) => boolean][] = [
      // To a child of the server SIGINT means "cancel your statement", so it goes to the server alone.
      ['SIGINT', leftovers.includes(postmaster) ? FAST_SHUTDOWN_MS : 0, (pid) => pid === postmaster],
      ['SIGQUIT', IMMEDIATE_SHUTDOWN_MS, () => true],
      ['SIGKILL', IMMEDIATE_SHUTDOWN_MS, () => true],
    ]
    for (const [signal, patience, isMeant] of steps) {
      if (patience > 0 && (await stopBy(signal, patience, isMeant, () => findLeftovers(folder, account)))) break
    }
    const immortal = await findLeftovers(folder, account)
    if (immortal.length > 0) {
      throw new Error(`A Postgres from before still uses ${folder} and cannot be stopped: pids ${immortal.join(', ')}.`)
    }
  }
  await rm(pidFile, { force: true })
}

/** Sends `signal` to those meant, and tells whether all were gone within `patience` milliseconds. */
async function stopBy(
  signal: NodeJS.Signals,
  patience: number,
  isMeant: (pid: number) => boolean,
  find: () => Promise<number[]>,
): Promise<boolean> {
  const deadline = Date.now() + patience
  let remaining = await find()
  for (const pid of remaining.filter(isMeant)) signalIfAlive(pid, signal)
  while (remaining.length > 0 && Date.now() < deadline) {
    await sleep(25)
    remaining = await find()
  }
  return remaining.length === 0
}

function signalIfAlive(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Prints each process whose working directory is the one we are in. */
const PIDS_IN_THIS_FOLDER = `
  for process in /proc/[0-9]*; do
    if [ "$process/cwd" -ef . ] && read -r name < "$process/comm" && [ "$name" = postgres ]; then
      echo "\${process#/proc/}"
    fi
  done 2>/dev/null
  true`

/**
 * Postgres processes work in the folder of their data, each of them, and stay there: the kernel's word on who uses it.
 * The search runs as `account`, since in a container not even root may see where another user's process works.
 */
async function findLeftovers(folder: string, account: Account): Promise<number[]> {
  const pids =
    process.platform === 'linux'
      ? await run('sh', ['-c', PIDS_IN_THIS_FOLDER], { account, cwd: folder })
      : // lsof fails when it finds nothing.
        await run('lsof', ['-t', '-a', '-c', 'postgres', '-d', 'cwd', folder]).catch(() => '')
  return pids.split('\n').filter(Boolean).map(Number)
}
