import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { settingsTable } from './config.ts'

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')

test('the README shows every setting as the code has it', () => {
  const [, shown] = /<!-- settings -->\n([^]*?)<!-- \/settings -->/.exec(readme) ?? []
  expect(shown?.trim()).toBe(settingsTable().trim())
})

test('every npm script that the README names exists', () => {
  const { scripts } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    scripts: Record<string, string>
  }
  const named = [...readme.matchAll(/npm run ([\w:-]+)/g)].map((match) => match[1]!)
  expect(named.length).toBeGreaterThan(3)
  for (const name of [...named, 'start', 'test']) expect(scripts).toHaveProperty([name])
})
