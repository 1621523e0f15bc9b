import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { findProgram } from '../programs.ts'

const packages = { ffmpeg: 'ffmpeg', 'heif-enc': 'libheif-examples', 'heif-convert': 'libheif-examples' }

/**
 * A program on the machine; on Debian its package is installed where there is none and this user may. Throws with the
 * line that installs it where there is no way.
 */
export function findOrInstall(program: keyof typeof packages): string {
  const found = findProgram(program) ?? install(program)
  if (found !== null) return found
  throw new Error(`Tests need ${program}. Install it: apt-get install --yes ${packages[program]}`)
}

function install(program: keyof typeof packages): string | null {
  const isDebian = existsSync('/etc/debian_version') && existsSync('/usr/bin/apt-get')
  if (!isDebian || process.getuid?.() !== 0) return null
  const installation = ['install', '--yes', '--no-install-recommends', packages[program]]
  console.error(`Tests need ${program}, and this machine has none: apt-get ${installation.join(' ')}`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const stdio: ['ignore', 'ignore', 'inherit'] = ['ignore', 'ignore', 'inherit']
  execFileSync('apt-get', ['update'], { stdio, env })
  execFileSync('apt-get', installation, { stdio, env })
  return findProgram(program)
}
