import { afterAll, beforeAll, expect, test } from 'vitest'
import { suggest } from '../../schema/testing/autocomplete.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { lines, runImport, writeLog } from './testing/run-import.ts'

let app: TestApp
let alice: Person
beforeAll(async () => {
  app = await startTestApp()
  alice = await app.signUp('alice')
})
afterAll(() => app.stop())

test('people and channels of a log are found by their names at once', async () => {
  const file = await writeLog(lines({ channel: 'wintergarden', author: 'rosalind', text: 'hello' }))
  expect(await runImport(app.databaseUrl, file)).toMatchObject({ code: 0 })
  const [person] = await suggest(alice, 'rosal', { kinds: ['USER'] })
  expect(person).toMatch(/^@rosalind/)
  expect(await suggest(alice, 'winterg', { kinds: ['CHANNEL'] })).toEqual(['#wintergarden'])
}, 60_000)
