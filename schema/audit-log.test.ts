import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { DeleteMessageDocument, RemoveMemberDocument, SetMemberRoleDocument } from '../client-sdk/index.ts'
import { auditLog } from '../drizzle/tables/index.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { type AuditRow, hashOfEntry, verifyChannel } from '../server/domain/audit-log.ts'
import { node } from '../server/testing/server-process.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { auditLogCommand } from '../workers/operator/audit-log.ts'
import { moderatorsCommand } from '../workers/operator/moderators.ts'
import { forbidden } from './testing/blocks.ts'
import {
  auditLogOf, ban, inAnHour, makeModerator, reportMessage, reportsOf, resolveReport, silence, toldBy, unban,
} from './testing/moderation.ts'
import { newChannel, operation, refusal, say } from './testing/operations.ts'

let app: TestApp
let replica: Replica
let alice: Person
let bob: Person
let carol: Person
/** Keeps order in the whole deployment. */
let mia: Person
beforeAll(async () => {
  app = await startTestApp()
  replica = await app.addReplica()
  const names = ['alice', 'bob', 'carol', 'mia'].map((name) => app.signUp(name))
  ;[alice, bob, carol, mia] = (await Promise.all(names)) as [Person, Person, Person, Person]
  await makeModerator(app, mia)
})
afterAll(() => app.stop())

let tea: string
let channelId: string
beforeEach(async () => {
  tea = await newChannel(alice, {}, [bob, carol])
  channelId = (parseGlobalId(tea) as { channelId: string }).channelId
})

const run = (text: string, parameters: unknown[] = []) => app.app.database.run(text, parameters)
const deleteMessage = operation(`mutation Delete($id: ID!, $reason: String) {
  deleteMessage(messageId: $id, reason: $reason) { message { id } }
}`)
const remove = (id: string, reason: string | null = null) => alice.client.request(deleteMessage, { id, reason })
const setRole = (person: Person, role: 'ADMIN' | 'MEMBER') =>
  alice.client.request(SetMemberRoleDocument, { channelId: tea, userId: person.id, role })

test('it tells what those who keep order have done, the latest first', async () => {
  const until = inAnHour()
  const { id: rude } = await say(bob, tea, 'you fools')
  const { id: own } = await say(alice, tea, 'hello')
  const { id: bobs } = await say(bob, tea, 'sorry')
  await remove(rude, ' no insults ')
  await remove(rude, 'again')
  await remove(own)
  await bob.client.request(DeleteMessageDocument, { messageId: bobs })
  await setRole(carol, 'ADMIN')
  await setRole(carol, 'ADMIN')
  await silence(carol, tea, bob, until, 'calm down')
  await silence(carol, tea, bob, null)
  await ban(carol, tea, bob, { until, reason: 'spam' })
  await unban(alice, tea, bob)
  await alice.client.request(RemoveMemberDocument, { channelId: tea, userId: carol.id })
  const [alices, bobsName, carols] = [alice, bob, carol].map(({ username }) => ({ username }))
  expect((await auditLogOf(alice, tea)).map(toldBy)).toEqual([
    { channelId: tea, action: 'MEMBER_REMOVED', actor: alices, subject: carols },
    { channelId: tea, action: 'MEMBER_UNBANNED', actor: alices, subject: bobsName },
    { channelId: tea, action: 'MEMBER_BANNED', actor: carols, subject: bobsName, until, reason: 'spam' },
    { channelId: tea, action: 'SILENCE_ENDED', actor: carols, subject: bobsName },
    { channelId: tea, action: 'MEMBER_SILENCED', actor: carols, subject: bobsName, until, reason: 'calm down' },
    { channelId: tea, action: 'ROLE_CHANGED', actor: alices, subject: carols, roleBefore: 'MEMBER', role: 'ADMIN' },
    {
      channelId: tea,
      action: 'MESSAGE_DELETED',
      actor: alices,
      subject: bobsName,
      messageId: rude,
      reason: 'no insults',
      content: 'you fools',
    },
  ])
})

describe('it cannot be changed', () => {
  beforeEach(async () => {
    await setRole(bob, 'ADMIN')
    await setRole(bob, 'MEMBER')
    await setRole(bob, 'ADMIN')
  })

  test.each([
    `update audit_log set reason = 'x'`,
    `update audit_log set reason = 'x' where false`,
    'delete from audit_log',
    'truncate audit_log',
    `insert into audit_log select * from audit_log on conflict (channel_id, number) do update set reason = 'x'`,
  ])('the database refuses: %s', async (statement) => {
    await expect(run(statement)).rejects.toThrow('The audit log is added to and never changed.')
    expect(await auditLogOf(alice, tea)).toHaveLength(3)
  })

  /** As somebody does who may do anything with the database. */
  async function tamper(statement: string, parameters: unknown[] = [channelId]) {
    await run('alter table audit_log disable trigger audit_log_stands')
    try {
      await run(statement, parameters)
    } finally {
      await run('alter table audit_log enable always trigger audit_log_stands')
    }
  }

  test.each([
    ['an entry is changed', `update audit_log set reason = 'x' where channel_id = $1 and number = 2`, 2],
    ['when it was', `update audit_log set at = at + interval '1 second' where channel_id = $1 and number = 1`, 1],
    ['its salt', `update audit_log set salt = '' where channel_id = $1 and number = 1`, 1],
    ['one is taken away', 'delete from audit_log where channel_id = $1 and number = 2', 2],
    ['the first is taken away', 'delete from audit_log where channel_id = $1 and number = 1', 1],
    [
      'one is put in',
      `insert into audit_log (channel_id, number, id, at, action, salt, hash)
       select channel_id, 4, id, at, action, salt, hash from audit_log where channel_id = $1 and number = 3`,
      4,
    ],
    ['two change places', 'update audit_log set number = 5 - number where channel_id = $1 and number > 1', 2],
  ])('whoever does it nevertheless is found out: %s', async (_, statement, brokenAt) => {
    const before = await verifyChannel(app.app.database, channelId)
    expect(before).toMatchObject({ entries: 3, brokenAt: null })
    // Two numbers cannot be exchanged one by one.
    await tamper(statement.replace('5 - number', '100 + 5 - number'))
    if (statement.includes('5 - number')) {
      await tamper('update audit_log set number = number - 100 where channel_id = $1 and number > 100')
    }
    expect(await verifyChannel(app.app.database, channelId)).toMatchObject({ brokenAt })
  })

  test('whoever writes an entry anew, hash and all, is found out by the next one', async () => {
    const rows = await app.app.database.orm.select().from(auditLog).where(eq(auditLog.channelId, channelId)).orderBy(auditLog.number)
    const [first, second] = rows as [AuditRow, AuditRow]
    const forged = { ...second, reason: 'nothing wrong' }
    await tamper(`update audit_log set reason = $2, hash = $3 where channel_id = $1 and number = 2`, [
      channelId,
      forged.reason,
      hashOfEntry(first.hash, forged),
    ])
    expect(await verifyChannel(app.app.database, channelId)).toMatchObject({ brokenAt: 3 })
  })

  test('whoever cuts off the end is found out by the hash of before', async () => {
    const before = await verifyChannel(app.app.database, channelId)
    const [latest] = await auditLogOf(alice, tea)
    expect(latest!.hash).toBe(before.hash)
    await tamper('delete from audit_log where channel_id = $1 and number = 3')
    const after = await verifyChannel(app.app.database, channelId)
    expect(after).toMatchObject({ entries: 2, brokenAt: null })
    expect(after.hash).not.toBe(before.hash)
  })
})

test('what was done at the same time on two replicas is in one row, without a hole', async () => {
  const there = { ...alice, client: replica.client(alice.token) }
  const messages = await Promise.all(Array.from({ length: 6 }, (_, nth) => say(bob, tea, `fools ${nth}`)))
  for (const { id } of messages) await reportMessage(carol, id)
  // Whoever resolves reports holds no lock of the channel.
  const reports = await reportsOf(alice, tea)
  await Promise.all(reports.map(({ id }, nth) => resolveReport(nth % 2 === 0 ? alice : there, id)))
  await Promise.all(
    Array.from({ length: 10 }, (_, nth) => silence(nth % 2 === 0 ? alice : there, tea, nth % 3 === 0 ? bob : carol, inAnHour())),
  )
  const rows = await app.app.database.run<{ number: number }>(
    'select number from audit_log where channel_id = $1 order by number',
    [channelId],
  )
  const numbers = rows.map(({ number }) => number)
  expect(numbers).toEqual(numbers.map((_, nth) => nth + 1))
  expect(await auditLogOf(alice, tea)).toHaveLength(numbers.length)
  expect(await verifyChannel(app.app.database, channelId)).toMatchObject({ entries: numbers.length, brokenAt: null })
})

test('what fails leaves no entry', async () => {
  await setRole(carol, 'ADMIN')
  expect(await refusal(silence(carol, tea, alice, inAnHour()))).toEqual(forbidden)
  expect(await auditLogOf(alice, tea)).toHaveLength(1)
})

test('what a deleted message said is forgotten after 90 days, and the log is as it was written nevertheless', async () => {
  const { id } = await say(bob, tea, 'you fools')
  await remove(id)
  await app.app.services.reports.sweep()
  expect(await auditLogOf(alice, tea)).toMatchObject([{ content: 'you fools' }])
  await run(`update audit_contents set content = 'you dears' where channel_id = $1`, [channelId])
  expect(await verifyChannel(app.app.database, channelId)).toMatchObject({ brokenAt: 1 })
  await run(`update audit_contents set expires_at = now() - interval '1 second' where channel_id = $1`, [channelId])
  await app.app.services.reports.sweep()
  expect(await auditLogOf(alice, tea)).toMatchObject([{ action: 'MESSAGE_DELETED', content: null }])
  expect(await verifyChannel(app.app.database, channelId)).toMatchObject({ entries: 1, brokenAt: null })
})

describe('the operator', () => {
  type Said = { stdout: string; stderr: string; code: number }
  const command = (name: string, ...args: string[]): Promise<Said> =>
    promisify(execFile)(node, [`workers/operator/${name}.ts`, ...args], {
      env: { ...process.env, DATABASE_URL: app.databaseUrl, JWT_SECRET: 'the same for all replicas of a test' },
    }).then(
      (said) => ({ ...said, code: 0 }),
      (error: Said) => error,
    )

  /** The same within this process. */
  const moderators = (...args: string[]) => moderatorsCommand(args, async () => app.app.database)
  const auditLogOfOperator = (...args: string[]) => auditLogCommand(args, async () => app.app.database)

  test('says who keeps order in the whole deployment, which counts at once and is noted', { timeout: 60_000 }, async () => {
    const dan = await app.signUp('dan')
    expect((await command('moderators')).stdout).toContain('npm run moderators -- add USERNAME')
    expect(await command('moderators', 'add', 'DAN')).toMatchObject({ code: 0, stdout: 'DAN keeps order from now on.\n' })
    expect(await moderators('add', 'dan')).toBe('dan is one already.')
    expect(await moderators('list')).toMatch(/^username +name\ndan +dan\nmia +mia$/)
    const [entry] = await auditLogOf(dan, null)
    expect(toldBy(entry!)).toEqual({ action: 'MODERATOR_ADDED', subject: { username: 'dan' } })
    expect(await moderators('remove', 'dan')).toBe('dan keeps order no more.')
    expect(await moderators('remove', 'dan')).toBe('dan is none.')
    expect(await refusal(auditLogOf(dan, null))).toEqual(forbidden)
    await expect(moderators('add', 'nobody-of-that-name')).rejects.toThrow('There is nobody called nobody-of-that-name.')
    await expect(moderators('add')).rejects.toThrow('Whom?')
    await expect(moderators('crown', 'dan')).rejects.toThrow('There is no command crown')
    await expect(moderators('list', 'dan')).rejects.toThrow('One thing at a time.')
    await expect(moderators('list', '--all')).rejects.toThrow("Unknown option '--all'")
  })

  test('is told whether the log is as it was written', { timeout: 60_000 }, async () => {
    await setRole(bob, 'ADMIN')
    expect(await auditLogOfOperator('verify', '--channel', tea)).toMatch(
      new RegExp(`^channel +entries +state +hash\n${tea} +1 +as written +[0-9a-f]{64}$`),
    )
    await run('alter table audit_log disable trigger audit_log_stands')
    await run(`update audit_log set subject_id = 1 where channel_id = $1`, [channelId])
    await run('alter table audit_log enable always trigger audit_log_stands')
    const broken = await command('audit-log', 'verify', '--channel', tea)
    expect(broken).toMatchObject({ code: 1, stdout: expect.stringContaining('NOT AS WRITTEN from number 1 on') })
    const { exitCode } = process
    const lines = (await auditLogOfOperator('verify', '--json')).trim().split('\n').map((line) => JSON.parse(line))
    process.exitCode = exitCode
    expect(lines).toContainEqual(expect.objectContaining({ channelId: tea, brokenAt: 1 }))
    await expect(auditLogOfOperator('verify', '--channel', 'x')).rejects.toThrow('x is not the id of a channel.')
    await expect(auditLogOfOperator('dance')).rejects.toThrow('There is no command dance.')
  })
})
