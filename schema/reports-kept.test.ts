import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { DeleteMessageDocument } from '../client-sdk/index.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import type { Person, TestApp } from '../server/testing/test-app.ts'
import { forbidden, openDirect } from './testing/blocks.ts'
import { meanwhile } from './testing/meanwhile.ts'
import {
  auditLogOf, deleteReported, makeModerator, reportMessage, reportsOf, reportUser, resolveReport, startModeratedApp,
} from './testing/moderation.ts'
import { conflicting, history, missing, newChannel, refusal, say } from './testing/operations.ts'

let app: TestApp
let alice: Person
let bob: Person
let carol: Person
/** Keeps order in the whole deployment, and is in no channel. */
let mia: Person
beforeAll(async () => {
  ;({ app, alice, bob, carol, mia } = await startModeratedApp())
})
afterAll(() => app.stop())

let tea: string
let rude: string
beforeEach(async () => {
  tea = await newChannel(alice, {}, [bob, carol])
  rude = (await say(bob, tea, 'you fools')).id
})

const snowflakesOf = (id: string) => parseGlobalId(id) as { channelId: string; messageId: string }

test('what retention has removed cannot be reported', async () => {
  const { channelId } = snowflakesOf(rude)
  await app.app.database.run('update channels set first_seq = last_seq + 1 where id = $1', [channelId])
  expect(await refusal(reportMessage(carol, rude))).toEqual(missing('messageId'))
  expect(await reportsOf(alice, tea)).toEqual([])
})

describe('a reported message', () => {
  test('is deleted by moderators who are not in its channel, a DIRECT one too, and they see nothing else of it', async () => {
    const dan = await app.signUp(`dan${rude.slice(-6)}`)
    const direct = await openDirect(bob, dan)
    const { id: secret } = await say(dan, direct, 'a secret')
    const { id: messageId } = await say(bob, direct, 'you fool', { replyToId: secret })
    await reportMessage(dan, messageId)
    const [report] = await reportsOf(mia, direct)
    expect(await refusal(mia.client.request(DeleteMessageDocument, { messageId }))).toEqual(forbidden)
    expect(await deleteReported(mia, report!.id, 'rude')).toMatchObject({ status: 'OPEN', content: 'you fool' })
    await deleteReported(mia, report!.id, 'rude')
    expect((await history(dan, direct)).map(({ content }) => content)).toEqual(['a secret', ''])
    expect(await auditLogOf(mia, direct)).toMatchObject([
      {
        action: 'MESSAGE_DELETED',
        actor: { username: 'mia' },
        subject: { username: 'bob' },
        messageId,
        reportId: report!.id,
        content: 'you fool',
        reason: 'rude',
      },
    ])
  })

  test('is deleted only by who may still see the report when it is', async () => {
    const other = await app.signUp(`keeper${rude.slice(-6)}`)
    await makeModerator(app, other)
    await reportMessage(carol, rude)
    const [report] = await reportsOf(other, tea)
    const { userId } = parseGlobalId(other.id) as { userId: string }
    const deleting = meanwhile(
      app,
      tea,
      () => deleteReported(other, report!.id),
      'update users set moderator = false where id = $1',
      [userId],
    )
    expect(await refusal(deleting)).toEqual(missing('id'))
    expect(await history(bob, tea)).toMatchObject([{ content: 'you fools' }])
    expect(await auditLogOf(alice, tea)).toEqual([])
  })

  test('is not deleted by a report about a person, nor by one that is gone', async () => {
    await reportUser(bob, carol, 'once more')
    const [report] = await reportsOf(mia, null, { first: 1 })
    expect(await refusal(deleteReported(mia, report!.id))).toEqual(conflicting('id'))
    expect(await refusal(deleteReported(mia, 'p1'))).toEqual(missing('id'))
    await resolveReport(mia, report!.id)
  })
})

test('what was said is forgotten 90 days after the report was resolved, and not before', async () => {
  const { id: other } = await say(bob, tea, 'fools again')
  const { id: third } = await say(bob, tea, 'still fools')
  for (const id of [rude, other, third]) await reportMessage(carol, id)
  const reports = await reportsOf(alice, tea)
  for (const { id } of reports.slice(1)) await resolveReport(alice, id)
  const age = (messageId: string, days: number) =>
    app.app.database.run(`update reports set resolved_at = resolved_at - make_interval(days => $2::int) where message_id = $1`, [
      snowflakesOf(messageId).messageId,
      days,
    ])
  await app.app.database.run('update reports set attachment_ids = array[1, 2]::bigint[] where channel_id = $1', [
    snowflakesOf(rude).channelId,
  ])
  await age(rude, 91)
  await age(other, 89)
  await app.app.services.reports.sweep()
  const files = await app.app.database.run<{ files: string[] | null }>(
    'select attachment_ids as files from reports where channel_id = $1 order by id desc',
    [snowflakesOf(rude).channelId],
  )
  expect(files).toEqual([{ files: ['1', '2'] }, { files: ['1', '2'] }, { files: null }])
  expect((await reportsOf(alice, tea)).map(({ content }) => content)).toEqual(['still fools', 'fools again', null])
})
