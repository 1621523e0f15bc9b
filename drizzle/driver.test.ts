import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { MaruError, unavailable } from '../server/errors.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../server/lib/embedded-postgres.ts'
import { discardDataDir, makeDataDir, postgresPid } from '../server/testing/server-process.ts'
import { type Database, openDatabase } from './connection.ts'

let dataDir: string
let postgres: EmbeddedPostgres
const opened: { close(): Promise<unknown> }[] = []
beforeAll(async () => {
  dataDir = await makeDataDir()
  postgres = await startEmbeddedPostgres({ dataDir })
}, 60_000)
afterAll(async () => {
  await postgres.stop()
  await discardDataDir(dataDir)
})
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()))
})

function open(url: string, poolSize = 4): Database {
  const database = openDatabase({ url, poolSize, unavailable })
  opened.push(database)
  return database
}

/** The same database with other hosts in the place of its own; `good` is where it is. */
function at(...hosts: ('good' | number)[]): string {
  const { host } = new URL(postgres.url)
  return postgres.url.replace(host, hosts.map((one) => (one === 'good' ? host : `127.0.0.1:${one}`)).join(','))
}

/** Where nobody listens. */
const nobody = 1

/** Listens, and does with a visitor what it is told. */
async function listenBadly(greet: (socket: Socket) => void) {
  const visitors: Socket[] = []
  const server = createServer((socket) => {
    visitors.push(socket.on('error', () => {}))
    greet(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push({
    async close() {
      visitors.forEach((socket) => socket.destroy())
      server.close()
    },
  })
  return { port: (server.address() as AddressInfo).port, visitors }
}

const isUnavailable = (error: unknown) => error instanceof MaruError && error.code === 'UNAVAILABLE'

/** What is said of a failure before any deadline, which is 5 seconds. */
async function soon(promise: Promise<unknown>): Promise<unknown> {
  const late = new AbortController()
  const failure = promise.then(
    () => 'no failure',
    (error: unknown) => error,
  )
  const result = await Promise.race([failure, sleep(4_000, 'late', { signal: late.signal })])
  late.abort()
  return result
}

test('a database that is not there is said to be unavailable at once, and why', async () => {
  const database = open(at(nobody))
  const failures = await Promise.all([
    soon(database.run('select', [])),
    soon(database.transaction(({ run }) => run('select', []))),
    soon(database.reserve()),
    ...Array.from({ length: 10 }, () => soon(database.run('select $1::int', [1]))),
  ])
  for (const failure of failures) {
    expect(failure).toMatchObject({ code: 'UNAVAILABLE', cause: { code: 'ECONNREFUSED' } })
  }
})

test('a server that hangs up at once is left alone', async () => {
  const { port, visitors } = await listenBadly((socket) => socket.end())
  const database = open(at(port))
  const failures = await Promise.all(Array.from({ length: 4 }, () => soon(database.run('select', []))))
  for (const failure of failures) expect(failure).toSatisfy(isUnavailable)
  expect(visitors).toHaveLength(4)
  await sleep(200)
  expect(visitors).toHaveLength(4)
})

test('a wrong password is said to be one', async () => {
  const url = new URL(postgres.url)
  url.password = 'guessed'
  const database = open(url.href)
  for (let round = 0; round < 5; round++) {
    expect(await soon(database.run('select', []))).toMatchObject({ code: '28P01' })
    expect(await soon(database.transaction(async () => {}))).toMatchObject({ code: '28P01' })
  }
})

test('while a server recovers from a crash it is unavailable, and afterwards all connections are back', async () => {
  const database = open(postgres.url)
  const pid = async () => {
    const [row] = await database.run<{ pid: number }>('select pg_backend_pid() as pid, pg_sleep(0.1)', [])
    return row!.pid
  }
  const pids = () => Promise.all(Array.from({ length: 4 }, pid))
  for (let round = 0; round < 3; round++) {
    process.kill((await pids())[0]!, 'SIGKILL')
    // Some of them hear `57P03: the database system is in recovery mode`.
    let isUp = false
    while (!isUp) {
      isUp = await database.run('select', []).then(
        () => true,
        (error: unknown) => {
          expect(error).toSatisfy(isUnavailable)
          return false
        },
      )
    }
    await expect.poll(async () => new Set(await pids().catch(() => [])).size).toBe(4)
  }
  expect(postgresPid(dataDir)).not.toBeNull()
})

test('of several hosts the first that answers is taken', async () => {
  const rude = await listenBadly((socket) => socket.end())
  const database = open(at(nobody, rude.port, 'good'))
  expect(await database.run('select 1 as one', [])).toEqual([{ one: 1 }])
  expect(rude.visitors).toHaveLength(1)
  // Further ones begin with the one that was good.
  const held = await Promise.all(Array.from({ length: 4 }, () => database.reserve()))
  expect(rude.visitors).toHaveLength(1)
  held.forEach((one) => one.release())
})

test('where none of several hosts answers it is said at once', async () => {
  const rude = await listenBadly((socket) => socket.end())
  const database = open(at(nobody, rude.port))
  expect(await soon(database.run('select', []))).toSatisfy(isUnavailable)
  expect(await soon(open(at(rude.port, nobody)).run('select', []))).toMatchObject({ cause: { code: 'ECONNREFUSED' } })
  const seen = rude.visitors.length
  await sleep(200)
  expect(rude.visitors).toHaveLength(seen)
})

test('a host that says nothing is passed over the next time', async () => {
  const silent = await listenBadly(() => {})
  const database = open(at(silent.port, 'good'), 1)
  await expect(database.run('select', [])).rejects.toSatisfy(isUnavailable)
  await expect.poll(() => database.run('select 1 as one', []).catch(() => [])).toEqual([{ one: 1 }])
})
