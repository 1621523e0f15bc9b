import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Where the first of these programs is; null where none is on the PATH. */
export function findProgram(...names: readonly string[]): string | null {
  // eslint-disable-next-line node/no-process-env -- where the system keeps its programs is no setting of Maru's
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean)
  for (const program of names.flatMap((name) => folders.map((folder) => join(folder, name)))) {
    try {
      accessSync(program, constants.X_OK)
      return program
    } catch {
      // Not in this one.
    }
  }
  return null
}

/** What a program said, where it could not do what it was told. */
export class ProgramError extends Error {
  override name = 'ProgramError'
}

/** Enough of what a program complains about to know why; a hostile file can make it complain without end. */
const complaintBytes = 4_096
/** What a program may answer: streams described as JSON. */
const answerBytes = 1024 * 1024

/**
 * Runs a program on a file and gives what it wrote, or hands that to `onData` piece by piece. Rejects with a
 * ProgramError where the program fails or answers without end, with a system error (it has a code such as ENOSPC) where
 * the machine is at fault. There is no time limit here: whoever kills this process's group kills the program, too.
 */
export function runProgram(
  program: string,
  args: readonly string[],
  onData?: (data: Buffer) => void,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    let answer = ''
    let complaint = ''
    child.stdout.on('data', (data: Buffer) => {
      if (onData !== undefined) return onData(data)
      answer += data.toString('latin1')
      if (answer.length > answerBytes) child.kill('SIGKILL')
    })
    child.stderr.on('data', (data: Buffer) => {
      complaint = (complaint + data.toString()).slice(-complaintBytes)
    })
    child.once('error', reject)
    child.once('close', (code, signal) => {
      if (code === 0) return resolve(Buffer.from(answer, 'latin1').toString())
      if (/No space left on device/i.test(complaint)) {
        return reject(Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }))
      }
      reject(new ProgramError(`${program} ${code ?? signal}: ${complaint.trim()}`))
    })
  })
}
