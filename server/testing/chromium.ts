import { execFileSync } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'

/** What the program is called on the systems that have it. */
const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const places = ['/usr/bin', '/snap/bin', '/Applications/Google Chrome.app/Contents/MacOS', '/Applications/Chromium.app/Contents/MacOS']

const installation = 'apt-get install --yes --no-install-recommends chromium'

/** It must fetch nothing of its own accord: a test looks at every request that leaves. */
const flags = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/**
 * Starts a real Chromium: the one at CHROMIUM_PATH, one on the machine, or on Debian the package, which is installed
 * where this user may. Throws with the line that installs it where there is no way.
 */
export async function startChromium(): Promise<Browser> {
  const program = process.env.CHROMIUM_PATH || findProgram() || install()
  const isRoot = process.getuid?.() === 0
  // Its sandbox does not let root in.
  return chromium.launch({ executablePath: program, args: isRoot ? [...flags, '--no-sandbox'] : flags })
}

function findProgram(): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...places]
  const programs = folders.flatMap((folder) => [...names, 'Google Chrome', 'Chromium'].map((name) => join(folder, name)))
  return programs.find(isProgram)
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function install(): string {
  const isDebian = existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get')
  if (isDebian && process.getuid?.() === 0) {
    console.error(`The browser test needs Chromium, and this machine has none: ${installation}`)
    const options = { stdio: ['ignore', 'ignore', 'inherit'] as const, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }
    execFileSync('apt-get', ['update'], { ...options, stdio: [...options.stdio] })
    execFileSync('apt-get', installation.split(' ').slice(1), { ...options, stdio: [...options.stdio] })
    const program = findProgram()
    if (program !== undefined) return program
  }
  throw new Error(`The browser test needs Chromium. Install it (${installation}), or name the program in CHROMIUM_PATH.`)
}
