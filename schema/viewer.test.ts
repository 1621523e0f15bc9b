import {
  defaultFieldResolver,
  execute,
  type GraphQLField,
  isIntrospectionType,
  isObjectType,
  parse,
  subscribe,
  validate,
} from 'graphql'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  AddContactDocument,
  AddReactionDocument,
  CreateReminderDocument,
  type CreateUploadMutation,
  MarkReadDocument,
  PinMessageDocument,
  RegisterDeviceDocument,
  SaveDraftDocument,
  ScheduleMessageDocument,
  SetTypingDocument,
} from '../client-sdk/index.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import type { Context } from './context.ts'
import { createBudget } from './budget.ts'
import { schema } from './index.ts'
import { createLoaders, createViewerLoaders } from './loaders.ts'
import { ban, makeModerator, type Report, reportMessage, reportsOf, resolveReport } from './testing/moderation.ts'
import { invited, joinBy } from './testing/invites.ts'
import { newChannel, operation, say } from './testing/operations.ts'
import { finishPicture, png, put } from './testing/uploads.ts'

/**
 * Events are answered once for all who get the same answer, so that a field which looks at the viewer without saying so
 * would show one person what is another's. Here every resolver of the schema runs with a context that notes whether the
 * viewer was looked at, and those are compared with the ones that are marked `ofViewer`.
 */
const resolved = new Set<string>()
const lookedAtViewer = new Set<string>()

/** Mutations are done by the viewer and told to nobody else. */
const objectTypes = Object.values(schema.getTypeMap())
  .filter(isObjectType)
  .filter((type) => !isIntrospectionType(type) && type !== schema.getMutationType())

type Field = { name: string; field: GraphQLField<unknown, Context> }
const fields: Field[] = objectTypes.flatMap((type) =>
  Object.values(type.getFields()).map((field) => ({ name: `${type.name}.${field.name}`, field })),
)

/** A context that is the same but for noting who looks at what depends on the viewer. */
const watched = (context: Context, note: () => void): Context =>
  new Proxy(context, {
    get(target, key) {
      if (key === 'viewer' || key === 'own') note()
      return Reflect.get(target, key)
    },
  })

// The schema of this test alone: each test file has modules of its own.
for (const { name, field } of fields) {
  const resolve = field.resolve ?? defaultFieldResolver
  field.resolve = (parent, args, context, info) => {
    resolved.add(name)
    return resolve(parent, args, watched(context, () => lookedAtViewer.add(name)), info)
  }
}

let app: TestApp
let alice: Person
let bob: Person
let context: Context
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
  context = contextOf(alice)
})
afterAll(() => app.stop())

function contextOf(person: Person): Context {
  const parsed = parseGlobalId(person.id)
  if (parsed?.type !== 'User') throw new Error('A person has the id of a user')
  const viewer = { userId: parsed.userId, sessionId: null, expiresAt: null }
  const { services, streams } = app.app
  return {
    viewer,
    services,
    streams,
    loaders: createLoaders(services),
    own: createViewerLoaders(services, viewer),
    spend: createBudget(),
    startCookieSession() {},
    endCookieSession() {},
  }
}

function read(text: string) {
  const document = parse(text)
  expect(validate(schema, document)).toEqual([])
  return document
}

async function run(text: string, variableValues: Record<string, unknown> = {}) {
  const { data, errors } = await execute({ schema, document: read(text), variableValues, contextValue: context })
  expect(errors).toBeUndefined()
  return data
}

/** Opens a subscription; gives its next event each time. */
async function listen(text: string, variableValues: Record<string, unknown> = {}) {
  const stream = await subscribe({ schema, document: read(text), variableValues, contextValue: context })
  if (!(Symbol.asyncIterator in stream)) throw new Error(JSON.stringify(stream.errors))
  return {
    async next() {
      const { value } = await stream.next()
      expect(value!.errors).toBeUndefined()
      return value!.data
    },
    close: () => stream.return(undefined),
  }
}

const user = 'id username displayName avatarUrl bot deleted createdAt presence { status statusText lastActiveAt }'
const page = 'pageInfo { hasNextPage hasPreviousPage startCursor endCursor }'
const member = `user { ${user} } role joinedAt lastReadSeq silencedUntil notificationLevel mutedUntil`
const attachment = `id filename contentType byteSize status failure url urlExpiresAt width height placeholder durationMs
  waveform thumbnails { url width height contentType }`
const message = `id kind channel { id } seq version author { id } content createdAt editedAt deletedAt
  replyTo { id } replyCount replies { edges { cursor node { id } } ${page} } viewerThread { lastReadSeq unreadCount }
  mentions { id } reactions { emoji count userIds viewerHasReacted } pinnedAt attachments { ${attachment} }
  linkPreviews { url title description imageUrl imageWidth imageHeight siteName }`
const report = `id reporter { id } subject { id } channelId channel { id } messageId reason content attachments { id } createdAt
  status resolvedBy { id } resolvedAt note`
const auditEntry = `channelId at action actor { id } subject { id } messageId reportId reason content until roleBefore
  role seconds resolution hash`
const channel = `id kind name topic createdAt directPeer { id } cursor firstSeq lastSeq lastMessage { id } memberCount
  members { edges { cursor node { ${member} } } ${page} totalCount }
  messages { edges { cursor node { ${message} } } ${page} } pinnedMessages { edges { cursor node { id } } }
  slowModeSeconds viewerMaySendAt viewerMembership { role } unreadCount unreadMentionCount viewerDraft`

/** An invite that somebody has come by, and the link of a message. */
async function readLinks(channelId: string, messageId: string) {
  const { code } = await invited(alice, { channelId })
  await joinBy(await app.signUp('dan'), code)
  const { createMessageLink } = await alice.client.request(
    operation(`mutation Link($messageId: ID!) { createMessageLink(messageId: $messageId) { code } }`),
    { messageId },
  )
  const invite = `code url channel { id } createdBy { id } createdAt expiresAt revokedAt maxUses usesLeft good uses visits
    joined { edges { cursor node { user { id } joinedAt } } ${page} }`
  await run(
    `query Links($channelId: ID!, $code: String!, $linkCode: String!) {
      invite(code: $code) { ${invite} }
      invites(channelId: $channelId) { edges { cursor node { code } } ${page} }
      shortLink(code: $linkCode) { ... on MessageLink { code url message { id } visits } }
    }`,
    { channelId, code, linkCode: createMessageLink.code },
  )
}

const activity = 'id order kind at actor { id } channel { id } message { id } emoji read'

async function readEverything(groupId: string, directId: string) {
  await run(
    `query Everything($ids: [ID!]!, $id: ID!) {
      viewer { ${user} } user(username: "bob") { id } node(id: $id) { id } nodes(ids: $ids) { id }
      channel(id: $id) { ${channel} }
      channels { edges { cursor node { ${channel} } } ${page} } publicChannels { edges { cursor node { id } } }
      contacts { edges { cursor node { id } } ${page} } blocks { edges { cursor node { id } } ${page} }
      scheduledMessages { id channel { id } content sendAt createdAt failure }
      reminders { edges { cursor node { id message { id } note remindAt remindedAt createdAt } } ${page} }
      viewerIsModerator channelBans(channelId: $id) { edges { cursor node { user { id } bannedBy { id } bannedAt until reason } } ${page} }
      reports { edges { cursor node { ${report} } } ${page} } auditLog { edges { cursor node { ${auditEntry} } } ${page} }
      settings { locale timeZone quietHoursStart quietHoursEnd pushPreviews emailWhenAway email emailVerified }
      devices { id platform createdAt } webPushKey
      activity { edges { cursor node { ${activity} } } ${page} } activityUnreadCount
      autocomplete(prefix: "") { kind text user { id } channel { id } } feed { edges { cursor node { id } } ${page} }
      dataExports { status createdAt url expiresAt byteSize } endpoint { url expiresAt }
      searchMessages(query: "yes") { edges { cursor highlights { start end } node { id } } ${page} }
    }`,
    { id: groupId, ids: [directId, bob.id] },
  )
}

/** A message of hers with a picture, in every field of it. */
async function sendPicture(channelId: string) {
  const input = { filename: 'a.png', contentType: 'image/png', byteSize: png.length }
  const answer = await run(
    `mutation Upload($input: CreateUploadInput!) { createUpload(input: $input) {
      attachment { ${attachment} } method url headers { name value } expiresAt
    } }`,
    { input },
  )
  const target = answer!.createUpload as CreateUploadMutation['createUpload']
  await put(target, png)
  const { id } = target.attachment
  await run('mutation Complete($id: ID!) { completeUpload(attachmentId: $id) { id } }', { id })
  await finishPicture(app, id)
  await say(alice, channelId, '', { attachmentIds: [id] })
}

/** What a worker finds behind the link in a message. */
async function showLink(messageId: string, content: string) {
  const key = parseGlobalId(messageId)
  if (key?.type !== 'Message') throw new Error('A message has the id of one')
  const image = { imageKey: 'previews/tea', imageType: 'image/webp', imageWidth: 6, imageHeight: 4 }
  const preview = { url: 'https://example.com/', title: 'Tea', description: null, siteName: null, ...image }
  await app.app.services.linkPreviews.put(key, content, [preview])
}

/** A reminder of hers whose time has come. */
async function remindAlice(messageId: string) {
  const input = { messageId, note: 'tea', remindAt: new Date(Date.now() + 3_600_000).toISOString() }
  await alice.client.request(CreateReminderDocument, { input })
  const [row] = await app.app.database.run<{ user_id: string; id: string }>(
    `update reminders set remind_at = now() where reminded_at is null returning user_id, id`,
    [],
  )
  await app.app.services.reminders.remindDue({ userId: row!.user_id, id: row!.id, remindAt: '' })
}

/** Something was reported, and done about it, by her who keeps order everywhere. */
async function keepOrder(channelId: string, messageId: string) {
  await makeModerator(app, alice)
  await reportMessage(alice, messageId)
  const [{ id }] = (await reportsOf(alice, channelId)) as [Report]
  await resolveReport(alice, id)
  await ban(alice, channelId, await app.signUp('mallory'))
}

/** A mention of hers that a worker has seen. */
async function mentionAlice(channelId: string) {
  const { seq } = await say(bob, channelId, '@alice')
  const key = parseGlobalId(channelId)
  if (key?.type !== 'Channel') throw new Error('A channel has the id of one')
  await app.app.services.activities.make({ of: 'sent', channelId: key.channelId, firstSeq: seq, lastSeq: seq })
}

async function hearEverything(channelId: string) {
  const place = 'stream cursor'
  const id = channelId
  const messages = await listen(
    `subscription Messages($id: ID!) { messages(channelId: $id) { ${place} kind message { id } } }`,
    { id },
  )
  const inbox = await listen(`subscription Inbox { inbox {
    ... on MessageEvent { ${place} message { id } }
    ... on MembershipEvent { ${place} channel { id } user { id } member { role } }
    ... on ChannelUpdatedEvent { ${place} channel { id } } ... on ReadStateEvent { ${place} channel { id } lastReadSeq }
    ... on ActivityEvent { ${place} activityId unreadCount readUpTo activity { id } }
    ... on ReminderEvent { ${place} reminder { id } } ... on SyncedEvent { ${place} }
  } }`)
  const presence = await listen(
    `subscription Presence($ids: [ID!]!) { presence(userIds: $ids) { user { id } presence { status } } }`,
    { ids: [bob.id] },
  )
  const typing = await listen(`subscription Typing($id: ID!) { typing(channelId: $id) { user { id } typing } }`, { id })
  const receipts = await listen(
    `subscription Receipts($id: ID!) { readReceipts(channelId: $id) { user { id } lastReadSeq } }`,
    { id },
  )
  await inbox.next()
  await presence.next()

  const { id: messageId, seq } = await say(bob, channelId, 'hi')
  await messages.next()
  await inbox.next()
  await alice.client.request(MarkReadDocument, { channelId, seq })
  await receipts.next()
  await inbox.next()
  await alice.client.request(SaveDraftDocument, { channelId, content: 'dear' })
  await inbox.next()
  await bob.client.request(SetTypingDocument, { channelId, typing: true })
  await typing.next()
  await newChannel(bob, {}, [alice])
  await inbox.next()
  await remindAlice(messageId)
  await inbox.next()
  await mentionAlice(channelId)
  await inbox.next()
  await inbox.next()
  for (const stream of [messages, inbox, presence, typing, receipts]) await stream.close()
}

test('every field that looks at the viewer says so, and no other', async () => {
  const groupId = await newChannel(alice, { kind: 'PUBLIC', name: 'square' }, [bob])
  const directId = await newChannel(alice, { kind: 'DIRECT', name: null }, [bob])
  const root = await say(bob, groupId, '@alice https://example.com/')
  await showLink(root.id, root.content)
  await alice.client.request(AddContactDocument, { userId: bob.id })
  await alice.client.request(RegisterDeviceDocument, { input: { platform: 'FCM', token: 'phone' } })
  await alice.client.request(AddReactionDocument, { messageId: root.id, emoji: '👍' })
  await alice.client.request(PinMessageDocument, { messageId: root.id })
  await say(alice, groupId, 'yes', { replyToId: root.id })
  await run(`mutation SignUp { signUp(input: { username: "carol", password: "long enough" }) {
    accessToken accessTokenExpiresAt refreshToken viewer { id }
  } }`)
  await run(
    `mutation Payloads($channelId: ID!, $messageId: ID!) {
      markRead(channelId: $channelId, seq: 1) { channel { id } } unpinMessage(messageId: $messageId) { message { id } }
    }`,
    { channelId: groupId, messageId: root.id },
  )
  await alice.client.request(ScheduleMessageDocument, {
    input: { channelId: groupId, content: 'later', sendAt: new Date(Date.now() + 3_600_000).toISOString() },
  })
  await mentionAlice(groupId)
  await run('mutation Export { requestDataExport { status } }')
  await sendPicture(groupId)
  await remindAlice(root.id)
  await keepOrder(groupId, root.id)
  await readLinks(groupId, root.id)
  await readEverything(groupId, directId)
  await hearEverything(groupId)

  const names = fields.map(({ name }) => name)
  expect(names.filter((name) => !resolved.has(name))).toEqual([])
  const marked = fields.filter(({ field }) => field.extensions.dependsOnViewer === true).map(({ name }) => name)
  expect([...lookedAtViewer].toSorted()).toEqual(marked.toSorted())
})
