import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { lockDataDir } from './data-dir-lock.ts'

let dataDir: string
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'maru-lock-'))
})
afterEach(() => rm(dataDir, { recursive: true }))

/** Starts a process that locks the folder, says `got` or why not, and holds on until it is killed. */
async function startLocker() {
  const program = `
    import { lockDataDir } from ${JSON.stringify(import.meta.resolve('./data-dir-lock.ts'))}
    try { lockDataDir(${JSON.stringify(dataDir)}); console.log('got') } catch (error) { console.log(error.message) }
    setInterval(() => {}, 60_000)`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [answer] = (await once(child.stdout, 'data')) as [Buffer]
  return {
    pid: child.pid,
    answer: answer.toString().trim(),
    async kill() {
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}

test('a second process is refused, and told who has the folder', async () => {
  const alice = await startLocker()
  const bob = await startLocker()
  expect(alice.answer).toBe('got')
  expect(bob.answer).toContain(`DATA_DIR ${dataDir} is in use by process ${alice.pid}; stop it, or give`)
  await Promise.all([alice.kill(), bob.kill()])
})

test('of many that start together exactly one wins', async () => {
  const lockers = await Promise.all(Array.from({ length: 6 }, startLocker))
  expect(lockers.filter(({ answer }) => answer === 'got')).toHaveLength(1)
  await Promise.all(lockers.map((locker) => locker.kill()))
})

test('the lock goes with a process that is killed, and leaves nothing that has to be judged', async () => {
  const alice = await startLocker()
  expect(() => lockDataDir(dataDir)).toThrow(`in use by process ${alice.pid};`)
  await alice.kill()
  lockDataDir(dataDir).release()
  expect(await readdir(dataDir)).toEqual(['maru.lock'])
})

test('a pid that another process has by now is no lock', async () => {
  await writeFile(join(dataDir, 'maru.pid'), `${process.ppid} ${hostname()}\n`)
  lockDataDir(dataDir).release()
})

test('the same process is refused too, until it has released, and may release twice', () => {
  const lock = lockDataDir(dataDir)
  expect(() => lockDataDir(dataDir)).toThrow(`in use by process ${process.pid};`)
  lock.release()
  const next = lockDataDir(dataDir)
  lock.release()
  expect(() => lockDataDir(dataDir)).toThrow('in use')
  next.release()
})

test('a holder in another container is named with its host', async () => {
  const lock = lockDataDir(dataDir)
  await writeFile(join(dataDir, 'maru.pid'), '1 maru-7f9c\n')
  expect(() => lockDataDir(dataDir)).toThrow('in use by process 1 on maru-7f9c;')
  lock.release()
})

test('an attempt of the same process that was refused does not let others in', async () => {
  const lock = lockDataDir(dataDir)
  expect(() => lockDataDir(dataDir)).toThrow('in use')
  const bob = await startLocker()
  expect(bob.answer).toContain(`in use by process ${process.pid};`)
  await bob.kill()
  lock.release()
})

test('a folder that is not there is made, for us alone, and one that cannot be is an error that names it', async () => {
  const missing = join(dataDir, 'srv', 'maru')
  lockDataDir(missing).release()
  expect(statSync(missing).mode & 0o777).toBe(0o700)

  await writeFile(join(dataDir, 'file'), '')
  expect(() => lockDataDir(join(dataDir, 'file'))).toThrow(`DATA_DIR ${join(dataDir, 'file')} cannot be used: `)
})
