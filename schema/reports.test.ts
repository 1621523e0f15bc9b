import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { DeleteMessageDocument, JoinChannelDocument, RemoveMemberDocument, SetMemberRoleDocument } from '../client-sdk/index.ts'
import type { Person, TestApp } from '../server/testing/test-app.ts'
import { block, edit, forbidden, openDirect } from './testing/blocks.ts'
import {
  auditLogOf,
  deleteReported,
  makeModerator,
  type Report,
  reportMessage,
  reportsOf,
  reportUser,
  resolveReport,
  startModeratedApp,
} from './testing/moderation.ts'
import { bad, conflicting, history, missing, newChannel, operation, refusal, say } from './testing/operations.ts'

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

const promote = (person: Person) =>
  alice.client.request(SetMemberRoleDocument, { channelId: tea, userId: person.id, role: 'ADMIN' })

describe('a report of a message', () => {
  test('tells those who keep order in its channel what it said and who reports it', async () => {
    expect(await reportMessage(carol, rude, '  he is rude ')).toBe(true)
    expect(await reportsOf(alice, tea)).toEqual([
      {
        id: expect.stringMatching(/^p/),
        reporter: { username: 'carol' },
        subject: { username: 'bob' },
        channelId: tea,
        channel: { id: tea },
        messageId: rude,
        reason: 'he is rude',
        content: 'you fools',
        attachments: [],
        createdAt: expect.any(String),
        status: 'OPEN',
        resolvedBy: null,
        resolvedAt: null,
        note: null,
      },
    ])
    await promote(carol)
    expect(await reportsOf(carol, tea)).toHaveLength(1)
  })

  test('keeps what was said, whatever its author does with it', async () => {
    await reportMessage(carol, rude)
    await edit(bob, rude, 'dear friends')
    expect(await reportsOf(alice, tea)).toMatchObject([{ content: 'you fools' }])
    await bob.client.request(DeleteMessageDocument, { messageId: rude })
    expect(await reportsOf(alice, tea)).toMatchObject([{ content: 'you fools' }])
  })

  test('is one for each person and message while it is open, however often and whatever happens meanwhile', async () => {
    await Promise.all(Array.from({ length: 5 }, () => reportMessage(carol, rude)))
    await reportMessage(alice, rude, 'rude indeed')
    const reports = await reportsOf(alice, tea)
    expect(reports.map(({ reporter }) => reporter.username).toSorted()).toEqual(['alice', 'carol'])
    await bob.client.request(DeleteMessageDocument, { messageId: rude })
    expect(await reportMessage(carol, rude)).toBe(true)
    expect(await reportsOf(alice, tea)).toHaveLength(2)
    for (const { id } of reports) await resolveReport(alice, id, 'DISMISSED')
    // Once it is resolved a message that is gone cannot be reported anew.
    expect(await refusal(reportMessage(carol, rude))).toEqual(conflicting('messageId'))
  })

  test('can be made anew once the first is resolved', async () => {
    await reportMessage(carol, rude)
    const [first] = await reportsOf(alice, tea)
    await resolveReport(alice, first!.id, 'DISMISSED')
    await edit(bob, rude, 'you great fools')
    await reportMessage(carol, rude, 'again')
    expect(await reportsOf(alice, tea)).toMatchObject([
      { status: 'OPEN', content: 'you great fools' },
      { status: 'DISMISSED', content: 'you fools' },
    ])
    expect(await reportsOf(alice, tea, { status: 'OPEN' })).toHaveLength(1)
    expect(await reportsOf(alice, tea, { status: 'DISMISSED' })).toHaveLength(1)
    expect(await reportsOf(alice, tea, { status: 'ACTION_TAKEN' })).toEqual([])
  })

  test('is for readers, about what others have written, with a reason', async () => {
    const stranger = await app.signUp('stranger')
    expect(await refusal(reportMessage(stranger, rude))).toEqual(forbidden)
    expect(await refusal(reportMessage(bob, rude))).toEqual(bad('messageId'))
    for (const reason of ['', ' \n ', 'x'.repeat(1_001)]) {
      expect(await refusal(reportMessage(carol, rude, reason))).toEqual(bad('reason'))
    }
    expect(await refusal(reportMessage(carol, tea))).toEqual(bad('messageId'))
    expect(await refusal(reportMessage(carol, `m${tea.slice(1)}_1`))).toEqual(missing('messageId'))
    const square = await newChannel(alice, { kind: 'PUBLIC', name: 'square' }, [bob])
    await carol.client.request(JoinChannelDocument, { channelId: square })
    const [joined] = await history(bob, square)
    expect(joined!.kind).toBe('MEMBER_JOINED')
    expect(await refusal(reportMessage(bob, joined!.id))).toEqual(bad('messageId'))
    expect(await reportMessage(carol, rude, '가'.repeat(1_000))).toBe(true)
  })
})

describe('who sees it', () => {
  test('is not its author, whatever their role; nor members, nor those of other channels', async () => {
    await reportMessage(carol, rude)
    const [report] = await reportsOf(alice, tea)
    expect(await refusal(reportsOf(bob, tea))).toEqual(forbidden)
    expect(await refusal(reportsOf(carol, tea))).toEqual(forbidden)
    await promote(bob)
    expect(await reportsOf(bob, tea)).toEqual([])
    expect(await refusal(resolveReport(bob, report!.id))).toEqual(missing('id'))
    expect(await refusal(deleteReported(bob, report!.id))).toEqual(missing('id'))
    await newChannel(carol)
    for (const person of [carol, await app.signUp(`other${rude.slice(-6)}`)]) {
      expect(await refusal(resolveReport(person, report!.id))).toEqual(missing('id'))
      expect(await refusal(deleteReported(person, report!.id))).toEqual(missing('id'))
    }
    expect(await refusal(reportsOf(alice, null))).toEqual(forbidden)
    // Once she is out she keeps order there no more.
    await alice.client.request(SetMemberRoleDocument, { channelId: tea, userId: carol.id, role: 'OWNER' })
    await carol.client.request(SetMemberRoleDocument, { channelId: tea, userId: alice.id, role: 'MEMBER' })
    expect(await refusal(resolveReport(alice, report!.id))).toEqual(missing('id'))
  })

  test('are moderators of the deployment: all of it, and of a DIRECT channel what was reported alone', async () => {
    const direct = await openDirect(bob, carol)
    await say(carol, direct, 'a secret')
    const { id } = await say(bob, direct, 'you fool')
    await reportMessage(carol, id)
    await reportMessage(carol, rude)
    await reportUser(carol, bob, 'everywhere')
    const [aboutUser, inTea, inDirect] = await reportsOf(mia, null)
    const ofNoMessage = { channelId: null, messageId: null, content: null }
    expect(aboutUser).toMatchObject({ subject: { username: 'bob' }, reason: 'everywhere', ...ofNoMessage })
    expect(inTea).toMatchObject({ messageId: rude, content: 'you fools', channel: null })
    expect(inDirect).toMatchObject({ messageId: id, content: 'you fool', channelId: direct, channel: null })
    expect(await reportsOf(mia, direct)).toHaveLength(1)
    expect(await refusal(reportsOf(carol, direct))).toEqual(forbidden)
    const look = operation(`query Look($ids: [ID!]!) { nodes(ids: $ids) { id } channel(id: "${direct}") { id } }`)
    expect(await mia.client.request(look, { ids: [direct, id] })).toEqual({ nodes: [null, null], channel: null })
    expect(await mia.client.request(operation('query Self { viewerIsModerator }'), {})).toEqual({ viewerIsModerator: true })
    expect(await bob.client.request(operation('query Self { viewerIsModerator }'), {})).toEqual({ viewerIsModerator: false })
  })

  test('is not the moderator whom it is about', async () => {
    const other = await app.signUp(`moderator${rude.slice(-6)}`)
    await makeModerator(app, other)
    await reportUser(carol, other)
    const about = (reports: Report[]) => reports.filter(({ subject }) => subject.username === other.username)
    const [report] = about(await reportsOf(mia, null))
    expect(about(await reportsOf(other, null))).toEqual([])
    expect(await refusal(resolveReport(other, report!.id))).toEqual(missing('id'))
    await resolveReport(mia, report!.id, 'DISMISSED')
  })
})

describe('resolving', () => {
  test('says what was decided, by whom, once; another decision contradicts it', async () => {
    await reportMessage(carol, rude)
    const [{ id }] = (await reportsOf(alice, tea)) as [Report]
    const resolved = await resolveReport(alice, id, 'ACTION_TAKEN', 'talked to him')
    expect(resolved).toMatchObject({ status: 'ACTION_TAKEN', resolvedBy: { username: 'alice' }, note: 'talked to him' })
    expect(await resolveReport(mia, id, 'ACTION_TAKEN', 'something else')).toEqual({ ...resolved, channel: null })
    expect(await refusal(resolveReport(mia, id, 'DISMISSED'))).toEqual(conflicting('resolution'))
    expect(await auditLogOf(alice, tea)).toMatchObject([
      {
        action: 'REPORT_RESOLVED',
        actor: { username: 'alice' },
        subject: { username: 'bob' },
        messageId: rude,
        reportId: id,
        reason: 'talked to him',
        resolution: 'ACTION_TAKEN',
      },
    ])
    expect(await refusal(resolveReport(alice, id, 'ACTION_TAKEN', 'x'.repeat(1_001)))).toEqual(bad('note'))
    expect(await refusal(resolveReport(alice, 'p1'))).toEqual(missing('id'))
    expect(await refusal(resolveReport(alice, tea))).toEqual(bad('id'))
  })

  test('by two at once leaves one decision and one entry', async () => {
    await reportMessage(carol, rude)
    const [{ id }] = (await reportsOf(alice, tea)) as [Report]
    const outcomes = await Promise.allSettled([resolveReport(alice, id, 'DISMISSED'), resolveReport(mia, id, 'ACTION_TAKEN')])
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(await auditLogOf(alice, tea)).toHaveLength(1)
  })
})

test('people are reported as such, also where one has blocked the other; oneself and nobody are not', async () => {
  const dan = await app.signUp('dan')
  await block(dan, carol)
  expect(await reportUser(dan, carol)).toBe(true)
  expect(await reportUser(carol, dan)).toBe(true)
  expect(await reportUser(carol, dan)).toBe(true)
  expect((await reportsOf(mia, null)).filter(({ subject }) => subject.username === 'dan')).toHaveLength(1)
  expect(await refusal(reportUser(dan, dan))).toEqual(bad('userId'))
  expect(await refusal(reportUser(dan, { id: 'u1' }))).toEqual(missing('userId'))
  expect(await refusal(reportUser(dan, carol, ' '))).toEqual(bad('reason'))
})

test('who has left or was put out can report no more, and what they reported stays', async () => {
  await reportMessage(carol, rude)
  await alice.client.request(RemoveMemberDocument, { channelId: tea, userId: carol.id })
  expect(await refusal(reportMessage(carol, rude))).toEqual(forbidden)
  expect(await reportsOf(alice, tea)).toHaveLength(1)
})

test('reports are paged, the latest first, each once', async () => {
  const ids: string[] = []
  for (let nth = 0; nth < 5; nth++) {
    const { id } = await say(bob, tea, `fools ${nth}`)
    await reportMessage(carol, id)
    ids.unshift(id)
  }
  const text = operation(`query Pages($id: ID!, $after: String) {
    reports(channelId: $id, first: 2, after: $after) { edges { node { messageId } } pageInfo { hasNextPage endCursor } }
  }`)
  const found: string[] = []
  for (let after: string | null = null; ; ) {
    const { reports }: any = await alice.client.request(text, { id: tea, after })
    found.push(...reports.edges.map((edge: { node: { messageId: string } }) => edge.node.messageId))
    if (!reports.pageInfo.hasNextPage) break
    after = reports.pageInfo.endCursor
  }
  expect(found).toEqual(ids)
  expect(await refusal(reportsOf(alice, tea, { after: 'abc' }))).toEqual(bad('after'))
  expect(await refusal(reportsOf(alice, tea, { first: 101 }))).toEqual(bad('first'))
})
