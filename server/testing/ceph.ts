import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { accessSync, constants, existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { findFreePort } from './redis-process.ts'

/** A bucket on a real S3 service, and how to enter it. */
export type S3Bucket = { endpoint: string; region: string; bucket: string; accessKeyId: string; secretAccessKey: string }

export type S3Server = S3Bucket & {
  /** Stops it from running, connections and all, without ending it; `thaw` lets it go on. Null where it is not the test's own. */
  freeze: (() => Promise<void>) | null
  thaw: (() => void) | null
  /** Ends it where it is the test's own. */
  stop(): Promise<void>
}

const installation = 'apt-get install --yes --no-install-recommends ceph-mon ceph-osd ceph-mgr radosgw ceph-common'

const programs = ['ceph', 'ceph-mon', 'ceph-osd', 'monmaptool', 'radosgw', 'radosgw-admin'] as const
type Program = (typeof programs)[number]

/** How long a step of the start may take on a busy machine. Milliseconds. */
const patienceMs = 60_000

const login = { accessKeyId: 'maru', secretAccessKey: 'only-for-the-length-of-a-test' }

const run = promisify(execFile)

/**
 * An S3 service for tests: the one at S3_TEST_ENDPOINT (with S3_TEST_REGION, S3_TEST_BUCKET, S3_TEST_ACCESS_KEY_ID and
 * S3_TEST_SECRET_ACCESS_KEY) if that is given, else a Ceph of the test's own, which is up in about ten seconds. Its
 * programs are those on the machine; on Debian the packages are installed where there are none and this user may. Throws
 * with the line that installs them where there is no way.
 */
export async function findS3(): Promise<S3Server> {
  const { env } = process
  if (!env.S3_TEST_ENDPOINT) return startCeph()
  return {
    endpoint: env.S3_TEST_ENDPOINT,
    region: env.S3_TEST_REGION ?? 'us-east-1',
    bucket: env.S3_TEST_BUCKET ?? 'maru-test',
    accessKeyId: env.S3_TEST_ACCESS_KEY_ID ?? '',
    secretAccessKey: env.S3_TEST_SECRET_ACCESS_KEY ?? '',
    freeze: null,
    thaw: null,
    stop: async () => {},
  }
}

/** One monitor, one store in memory, and the gateway that speaks S3, on loopback, with an empty bucket. */
export async function startCeph(): Promise<S3Server> {
  const found = findPrograms() ?? install()
  const folder = await mkdtemp(join(tmpdir(), 'maru-ceph-'))
  await chmod(folder, 0o755)
  const [monitorPort, port] = [await findFreePort(), await findFreePort()]
  const conf = join(folder, 'ceph.conf')
  const fsid = randomUUID()
  await writeFile(conf, configuration({ folder, fsid, monitorPort, port }))
  await writeFile(join(folder, 'keyring'), '')
  for (const name of ['mon', 'osd', 'run']) await mkdir(join(folder, name))
  const daemons: ChildProcess[] = []
  const call = (program: Program, ...args: string[]) => run(found[program], ['-c', conf, ...args], { timeout: patienceMs })
  const start = (program: Program, ...args: string[]) => {
    const daemon = spawn(found[program], ['-c', conf, ...args, '-f'], { stdio: 'ignore' })
    daemon.unref()
    daemons.push(daemon)
    return daemon
  }
  const onExit = () => daemons.forEach((daemon) => daemon.kill('SIGKILL'))
  process.once('exit', onExit)
  async function stop() {
    process.off('exit', onExit)
    for (const daemon of daemons.toReversed()) {
      if (daemon.exitCode !== null || daemon.signalCode !== null) continue
      const ended = once(daemon, 'exit')
      daemon.kill('SIGKILL')
      await ended
    }
    await rm(folder, { recursive: true, force: true })
  }

  try {
    const monmap = join(folder, 'monmap')
    const monitorAddress = `v2:127.0.0.1:${monitorPort}`
    await run(found.monmaptool, ['--create', '--fsid', fsid, '--addv', 'a', monitorAddress, monmap])
    await call('ceph-mon', '-i', 'a', '--mkfs', '--monmap', monmap, '--keyring', join(folder, 'keyring'))
    start('ceph-mon', '-i', 'a')
    const osd = randomUUID()
    await call('ceph', 'osd', 'new', osd)
    await call('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', osd)
    start('ceph-osd', '-i', '0')
    const user = ['user', 'create', '--uid', 'maru', '--display-name', 'maru']
    const keys = ['--access-key', login.accessKeyId, '--secret-key', login.secretAccessKey]
    await call('radosgw-admin', '-n', 'client.rgw', ...user, ...keys)
    const gateway = start('radosgw', '-n', 'client.rgw')
    const endpoint = `http://127.0.0.1:${port}`
    await untilItAnswers(endpoint, gateway)
    const place = { endpoint, region: 'us-east-1', bucket: 'maru-test', ...login }
    await createBucket(place)
    return {
      ...place,
      async freeze() {
        gateway.kill('SIGSTOP')
        // It has many threads, which do not all stop at once.
        while (await fetch(endpoint, { signal: AbortSignal.timeout(200) }).then(() => true, () => false));
      },
      thaw: () => void gateway.kill('SIGCONT'),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function untilItAnswers(endpoint: string, gateway: ChildProcess): Promise<void> {
  const until = Date.now() + patienceMs
  while (!(await fetch(endpoint).then((response) => response.ok, () => false))) {
    if (gateway.exitCode !== null) throw new Error(`radosgw ended with code ${gateway.exitCode}.`)
    if (Date.now() > until) throw new Error('radosgw does not answer.')
    await sleep(50)
  }
}

async function createBucket({ endpoint, region, bucket, ...credentials }: S3Bucket): Promise<void> {
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  client.destroy()
}

type Places = { folder: string; fsid: string; monitorPort: number; port: number }

/** One copy of everything, nobody who signs in between the parts, nothing outside of `folder`. */
const configuration = ({ folder, fsid, monitorPort, port }: Places) => `[global]
fsid = ${fsid}
mon host = v2:127.0.0.1:${monitorPort}
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = none
auth service required = none
auth client required = none
# By default the gateway wants encryption, which takes keys.
ms mon client mode = crc
keyring = ${folder}/keyring
run dir = ${folder}/run
crash dir = ${folder}
admin socket =
pid file =
log file = ${folder}/$name.log
log to stderr = false
mon cluster log file = ${folder}/cluster.log
mon data avail crit = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pgp num = 4
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000
osd crush chooseleaf type = 0
[mon.a]
mon data = ${folder}/mon
mon addr = v2:127.0.0.1:${monitorPort}
[osd.0]
osd data = ${folder}/osd
osd objectstore = memstore
memstore device bytes = 1073741824
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:${port}
rgw thread pool size = 16
`

/** Where the programs are; null unless all are on the PATH. */
function findPrograms(): Record<Program, string> | null {
  const folders = (process.env.PATH ?? '').split(delimiter).concat('/usr/bin', '/usr/local/bin')
  const found = programs.map((program) => [program, folders.map((folder) => join(folder, program)).find(isExecutable)])
  return found.every(([, path]) => path !== undefined) ? (Object.fromEntries(found) as Record<Program, string>) : null
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function install(): Record<Program, string> {
  const isDebian = existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get')
  if (isDebian && process.getuid?.() === 0) {
    console.error(`Tests need an S3 service, and this machine has none: ${installation}`)
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
    execFileSync('apt-get', ['update'], { stdio: ['ignore', 'ignore', 'inherit'], env })
    execFileSync('apt-get', installation.split(' ').slice(1), { stdio: ['ignore', 'ignore', 'inherit'], env })
    const found = findPrograms()
    if (found !== null) return found
  }
  throw new Error(
    `Tests need an S3 service. Install Ceph (${installation}), or give the address of one in S3_TEST_ENDPOINT.`,
  )
}
