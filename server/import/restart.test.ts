import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { storedMessages } from '../testing/stored-messages.ts'
import { createTestDatabase } from '../testing/test-app.ts'
import { lines, type Line, runImport, startImport, writeLog } from './testing/run-import.ts'

// Each of them starts processes, on a machine that may have others to run.
vi.setConfig({ testTimeout: 60_000 })

let databaseUrl: string
let database: Database
beforeAll(async () => {
  databaseUrl = await createTestDatabase()
  database = openDatabase({ url: databaseUrl, poolSize: 4, unavailable: () => new Error('away') })
})
afterAll(() => database.close())

/** How many messages of a source are in; 0 before anything is. */
async function progressOf(source: string): Promise<number> {
  const [row] = await database.run<{ there: boolean }>(`select to_regclass('imports') is not null as there`, [])
  if (!row!.there) return 0
  const [sum] = await database.run<{ messages: number }>(
    'select coalesce(sum(messages), 0)::int as messages from imports where source = $1',
    [source],
  )
  return sum!.messages
}

/** All that the store holds of the channels of a source, but for the numbers that differ from one run to the next. */
async function contents(source: string, from = database) {
  type Row = Record<string, unknown>
  const known = await from.run<{ user_id: string; subject: string }>('select user_id, subject from identities', [])
  const subjects = new Map(known.map((row) => [row.user_id, row.subject]))
  /** `user_id` becomes the name in the log; `$of` is the condition that a channel is of the source. */
  const rows = async (text: string, order: readonly string[]): Promise<Row[]> => {
    const found = await from.run<Row>(
      text.replace('$of', `in (select channel_id from imports where source = '${source}')`),
      [],
    )
    const named = found.map((row) => ('user_id' in row ? { ...row, user_id: subjects.get(row.user_id as string) } : row))
    const keyOf = (row: Row) => order.map((column) => String(row[column]).padStart(20)).join(' ')
    return named.toSorted((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1))
  }
  return {
    channels: await rows(
      'select name, kind, member_count, first_seq, last_seq, last_id, created_at from channels where id $of',
      ['name'],
    ),
    messages: await rows(
      `select c.name, m.id, m.seq, m.kind, m.author_id as user_id, m.content, m.reply_to_id, m.reply_count,
              cardinality(m.mention_ids)
       from ${storedMessages.replace('as stored', 'm')} join channels c on c.id = m.channel_id
       where m.channel_id $of`,
      ['name', 'seq'],
    ),
    members: await rows(
      `select c.name, m.user_id, m.role, m.joined_at, m.last_read_seq
       from members m join channels c on c.id = m.channel_id where m.channel_id $of`,
      ['name', 'user_id'],
    ),
    threads: await rows(
      `select c.name, t.message_id, t.user_id, t.last_read_seq
       from threads t join channels c on c.id = t.channel_id where t.channel_id $of`,
      ['name', 'message_id', 'user_id'],
    ),
    mentions: await rows('select count(*)::int from mentions where channel_id $of', []),
    progress: await rows('select channel_key, messages, digest from imports where channel_id $of', ['channel_key']),
  }
}

/** A log of three channels in which twenty people answer and mention each other. */
function longLog(count: number, prefix: string): Line[] {
  return Array.from({ length: count }, (_, place) => ({
    channel: `${prefix} ${place % 3}`,
    author: `person ${(place * 7) % 20}`,
    time: Date.UTC(2015, 0, 1) + place * 10_000,
    text: `person ${(place * 3) % 20}: number ${place}`,
    id: place,
    ...(place % 5 > 2 && place > 30 ? { replyTo: place - 3 * (1 + (place % 9)) } : {}),
  }))
}

test('killed in the middle, three times over, it goes on and leaves what one run would have left', async () => {
  const log = longLog(9_000, 'killed')
  const file = await writeLog(lines(...log), 'killed.jsonl')
  const cuts: number[] = []
  for (let kill = 0; kill < 3; kill++) {
    const before = await progressOf('killed')
    const running = startImport(databaseUrl, file, '--batch', '40')
    while ((await progressOf('killed')) < before + 400) await sleep(2)
    running.kill('SIGKILL')
    expect((await running.done).code).toBeNull()
    cuts.push(await progressOf('killed'))
  }
  expect(cuts[2]).toBeLessThan(log.length)
  expect(cuts).toEqual(cuts.toSorted((a, b) => a - b))
  // A channel that is not whole is not open yet.
  const [open] = await database.run<{ kind: string }>(`select kind from channels where name = 'killed 2'`, [])
  expect(open?.kind).not.toBe('PUBLIC')

  const last = await runImport(databaseUrl, file)
  expect(last).toMatchObject({ code: 0 })
  expect(last.stdout).toContain(`(${cuts[2]!.toLocaleString('en')} were in before)`)

  const otherUrl = await createTestDatabase()
  const other = openDatabase({ url: otherUrl, poolSize: 2, unavailable: () => new Error('away') })
  onTestFinished(() => other.close())
  expect(await runImport(otherUrl, file)).toMatchObject({ code: 0 })
  const whole = await contents('killed', other)
  expect(await contents('killed')).toEqual(whole)
  expect(whole.messages).toHaveLength(log.length)
})

test('stopped by a signal, it says so, and goes on the next time', async () => {
  const file = await writeLog(lines(...longLog(9_000, 'stopped')), 'stopped.jsonl')
  const running = startImport(databaseUrl, file, '--batch', '40')
  while ((await progressOf('stopped')) < 400) await sleep(2)
  running.kill('SIGINT')
  const run = await running.done
  expect(run).toMatchObject({ code: 130, stdout: '' })
  expect(run.stderr).toContain('Stopped. Start the same command again')
  const done = await progressOf('stopped')
  expect(done).toBeLessThan(9_000)
  expect(await runImport(databaseUrl, file)).toMatchObject({ code: 0 })
  expect(await progressOf('stopped')).toBe(9_000)
})

test('a second time nothing is doubled, and a log that has grown goes on where it ended', async () => {
  const log = longLog(300, 'grown')
  const options = ['--source', 'grown', '--batch', '70']
  const part = await writeLog(lines(...log.slice(0, 200)))
  expect(await runImport(databaseUrl, part, ...options)).toMatchObject({ code: 0 })
  const before = await contents('grown')
  const again = await runImport(databaseUrl, part, ...options)
  expect(again).toMatchObject({ code: 0 })
  expect(again.stdout).toContain('0 messages, 0 a second')
  expect(await contents('grown')).toEqual(before)

  const whole = await runImport(databaseUrl, await writeLog(lines(...log), 'grown.jsonl.gz'), '--batch', '70')
  expect(whole).toMatchObject({ code: 0 })
  expect(whole.stdout).toMatch(/messages +100 +\(200 were in before\)/)
  expect(await contents('grown')).toMatchObject({ channels: [{ last_seq: 100 }, { last_seq: 100 }, { last_seq: 100 }] })
  const grown = await contents('grown')
  expect(grown.messages.filter((message) => Number(message.seq) <= 66).map((message) => message.id)).toEqual(
    before.messages.filter((message) => Number(message.seq) <= 66).map((message) => message.id),
  )
  const counted = grown.messages.reduce((sum, message) => sum + Number(message.reply_count), 0)
  expect(counted).toBe(log.filter((line) => line.replyTo !== undefined).length)
})

test('another log under the same name is refused, and so is one that has lost its end or its beginning', async () => {
  const log = longLog(60, 'other')
  const run = async (said: Line[]) => runImport(databaseUrl, await writeLog(lines(...said)), '--source', 'other')
  expect(await run(log)).toMatchObject({ code: 0 })
  const before = await contents('other')
  const changed = log.map((line, place) => (place === 0 ? { ...line, text: 'something else' } : line))
  for (const said of [changed, log.slice(0, 57), log.slice(3)]) {
    const refused = await run(said)
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toMatch(/other 0: its first 20 messages are not those that were imported as "other"/)
  }
  expect(await contents('other')).toEqual(before)
})

test('two imports of one log at once give each message once', async () => {
  const file = await writeLog(lines(...longLog(3_000, 'twice')), 'twice.jsonl')
  const start = () => runImport(databaseUrl, file, '--batch', '50')
  const runs = await Promise.all([start(), start()])
  for (const run of runs) {
    if (run.code !== 0) expect(run.stderr).toContain('Another import of "twice" is running')
  }
  expect(await runImport(databaseUrl, file)).toMatchObject({ code: 0 })
  const { messages, channels } = await contents('twice')
  expect(messages).toHaveLength(3_000)
  expect(channels).toMatchObject([{ last_seq: 1_000 }, { last_seq: 1_000 }, { last_seq: 1_000 }])
  const [people] = await database.run(`select count(*)::int from identities where issuer = 'import:twice'`, [])
  expect(people).toEqual({ count: 20 })
})
