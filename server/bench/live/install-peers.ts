import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const source = fileURLToPath(new URL('../peers/', import.meta.url))
/** Beside the project's own packages, where nothing looks for code of the project's. */
const target = fileURLToPath(new URL('../../../node_modules/.cache/maru-bench-peers/', import.meta.url))

/**
 * Installs the peers, by their lock file, where that has not been done; says so. Returns their folder. Throws with what
 * npm said when it cannot be done.
 */
export function installPeers(): string {
  mkdirSync(target, { recursive: true })
  cpSync(source, target, { recursive: true })
  const lock = readFileSync(join(target, 'package-lock.json'), 'utf8')
  const done = join(target, 'installed.json')
  if (existsSync(done) && readFileSync(done, 'utf8') === lock) return target
  process.stderr.write(`Installing what Maru is compared with into ${target}: npm ci\n`)
  // npm runs on the Node that it finds first: it must be the one that the peers will run on.
  const env = { ...process.env, PATH: [dirname(process.execPath), process.env.PATH].join(delimiter) }
  const npm = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: target, env, encoding: 'utf8' })
  if (npm.status !== 0) throw new Error(`The peers could not be installed.\n${npm.stdout}${npm.stderr}`)
  writeFileSync(done, lock)
  return target
}
