import { readFileSync } from 'node:fs'

const { version: read } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

/** Of this program, as `package.json` says. */
export const version = read
