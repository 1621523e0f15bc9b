import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { SetMemberRoleDocument } from '../client-sdk/index.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { explain } from '../server/testing/explain.ts'
import type { Person, TestApp } from '../server/testing/test-app.ts'
import { forbidden } from './testing/blocks.ts'
import {
  type AuditEntry, auditLogOf, auditLogPage, deleteReported, inAnHour, makeModerator, reportMessage, reportsOf, reportUser,
  resolveReport, silence, toldBy, startModeratedApp,
} from './testing/moderation.ts'
import { bad, newChannel, refusal, say } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
/** Keeps order in the whole deployment. */
let mia: Person
beforeAll(async () => {
  ;({ app, alice, bob, carol, mia } = await startModeratedApp())
})
afterAll(() => app.stop())

let tea: string
let channelId: string
beforeEach(async () => {
  tea = await newChannel(alice, {}, [bob, carol])
  channelId = (parseGlobalId(tea) as { channelId: string }).channelId
})

const run = (text: string, parameters: unknown[] = []) => app.app.database.run(text, parameters)
const setRole = (person: Person, role: 'ADMIN' | 'MEMBER') =>
  alice.client.request(SetMemberRoleDocument, { channelId: tea, userId: person.id, role })

test('owners and admins read that of their channel, moderators all of it, others none', async () => {
  const other = await newChannel(bob, {}, [alice])
  await setRole(bob, 'ADMIN')
  await bob.client.request(SetMemberRoleDocument, { channelId: other, userId: alice.id, role: 'ADMIN' })
  expect(await auditLogOf(bob, tea)).toHaveLength(1)
  expect(await refusal(auditLogOf(carol, tea))).toEqual(forbidden)
  expect(await refusal(auditLogOf(await app.signUp(`s${channelId.slice(-9)}`), tea))).toEqual(forbidden)
  expect(await refusal(auditLogOf(alice, null))).toEqual(forbidden)
  expect(await auditLogOf(mia, tea)).toHaveLength(1)
  expect((await auditLogOf(mia, null)).slice(0, 2).map((entry) => entry.channelId)).toEqual([other, tea])
})

test('it is paged, each entry once, over all channels too', async () => {
  const other = await newChannel(alice, {}, [bob])
  for (let nth = 0; nth < 3; nth++) {
    await silence(alice, tea, bob, inAnHour())
    await silence(alice, other, bob, inAnHour())
    await silence(alice, tea, bob, null)
  }
  for (const [where, count] of [[tea, 6], [null, 9]] as const) {
    const found: string[] = []
    for (let after: string | null = null; found.length < count; ) {
      const page = await auditLogPage(mia, where, { first: 2, after })
      found.push(...page.entries.map((entry: AuditEntry) => `${entry.channelId} ${entry.hash}`))
      expect(page.hasNextPage || found.length >= count).toBe(true)
      after = page.endCursor
    }
    expect(new Set(found).size).toBe(found.length)
    expect(found.slice(0, count).every((entry) => entry.startsWith(tea) || entry.startsWith(other))).toBe(true)
  }
  expect(await refusal(auditLogPage(alice, tea, { after: 'abc' }))).toEqual(bad('after'))
  const { endCursor: elsewhere } = await auditLogPage(alice, other, { first: 1 })
  expect(await refusal(auditLogPage(alice, tea, { after: elsewhere }))).toEqual(bad('after'))
})

test('a page of it costs the same wherever it is', async () => {
  const count = 20_000
  await run(
    `insert into audit_log (channel_id, number, id, at, action, salt, hash)
     select $1, n, n, now(), 'SLOW_MODE_SET', '', '' from generate_series(1, $2::int) n`,
    [channelId, count],
  )
  await run('analyze audit_log')
  const { userId } = parseGlobalId(alice.id) as { userId: string }
  const from = app.statements.length
  const page = await app.app.services.auditLog.list(userId, channelId, 51, { id: '100', channelId })
  expect(page.map(({ number }) => number)).toEqual(Array.from({ length: 51 }, (_, nth) => 99 - nth))
  const statement = app.statements.slice(from).find((text) => text.includes('order by "audit_log"."number" desc'))!
  const look = await explain(app.app.database, statement, [channelId, 'REPORT_RESOLVED', userId, 100, 51])
  expect(look.blocks).toBeLessThan(60)
})

describe('whoever was reported', () => {
  test('is told nothing of it in the log of a channel where they keep order', async () => {
    await setRole(bob, 'ADMIN')
    const before = await auditLogOf(bob, tea)
    const messages = [await say(bob, tea, 'you fools'), await say(bob, tea, 'you great fools')]
    for (const { id } of messages) await reportMessage(carol, id)
    const [latest, first] = await reportsOf(mia, tea)
    await resolveReport(mia, first!.id, 'DISMISSED', 'carol exaggerates')
    await silence(alice, tea, carol, inAnHour())
    await deleteReported(alice, latest!.id, 'carol is right')
    await resolveReport(alice, latest!.id)
    expect((await auditLogOf(alice, tea)).map(({ action, reason }) => [action, reason])).toEqual([
      ['REPORT_RESOLVED', null],
      ['MESSAGE_DELETED', 'carol is right'],
      ['MEMBER_SILENCED', null],
      ['REPORT_RESOLVED', 'carol exaggerates'],
      ['ROLE_CHANGED', null],
    ])
    const [deleted, silenced, ...others] = await auditLogOf(bob, tea)
    expect(others).toEqual(before)
    expect(toldBy(silenced!)).toMatchObject({ action: 'MEMBER_SILENCED' })
    // Which of their messages is gone they see anyway.
    expect(toldBy(deleted!)).toEqual({
      channelId: tea,
      action: 'MESSAGE_DELETED',
      actor: { username: 'alice' },
      subject: { username: 'bob' },
      messageId: messages[1]!.id,
      content: 'you great fools',
    })
    // Nor by how it is paged.
    const page = await auditLogPage(bob, tea, { first: 2 })
    expect(page).toMatchObject({ hasNextPage: true, entries: [deleted, silenced] })
    const next = await auditLogPage(bob, tea, { first: 2, after: page.endCursor })
    expect(next).toMatchObject({ hasNextPage: false, entries: before })
  })

  test('is told nothing of it in the log of everything either', async () => {
    const other = await app.signUp(`m${channelId.slice(-9)}`)
    await makeModerator(app, other)
    await reportUser(carol, other, 'rude')
    const [report] = await reportsOf(mia, null, { first: 1 })
    await resolveReport(mia, report!.id, 'ACTION_TAKEN', 'talked to them')
    const isAbout = ({ subject }: AuditEntry) => subject?.username === other.username
    expect((await auditLogOf(mia, null)).filter(isAbout)).toMatchObject([{ reason: 'talked to them' }])
    expect((await auditLogOf(other, null)).filter(isAbout)).toEqual([])
  })
})

test('a clock that was set back does not turn its order round', async () => {
  await silence(alice, tea, bob, inAnHour())
  await run(
    `insert into audit_log (channel_id, number, id, at, action, salt, hash)
     select channel_id, 2, id + (3600000::bigint << 22), at + interval '1 hour', 'SLOW_MODE_SET', '', ''
     from audit_log where channel_id = $1`,
    [channelId],
  )
  await silence(alice, tea, bob, null)
  const actions = ['SILENCE_ENDED', 'SLOW_MODE_SET', 'MEMBER_SILENCED']
  expect((await auditLogOf(alice, tea)).map(({ action }) => action)).toEqual(actions)
  const everywhere = (await auditLogOf(mia, null)).filter((entry) => entry.channelId === tea)
  expect(everywhere.map(({ action }) => action)).toEqual(actions)
})
