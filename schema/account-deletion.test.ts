import { getTableName } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import {
  AddContactDocument,
  AddMembersDocument,
  AddReactionDocument,
  BlockUserDocument,
  ChannelsDocument,
  CreateReminderDocument,
  LeaveChannelDocument,
  OpenDirectChannelDocument,
  RefreshSessionDocument,
  RegisterDeviceDocument,
  SaveDraftDocument,
  ScheduleMessageDocument,
  SendMessageDocument,
  SetPresenceDocument,
  SignInDocument,
  SignUpDocument,
  UnblockUserDocument,
  UpdateProfileDocument,
  ViewerDocument,
} from '../client-sdk/index.ts'
import { ownColumns } from '../server/domain/account-deletion-rows.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { countLockWaits } from '../server/testing/lock-waits.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { failure, history, missing, newChannel, operation, refusal, say } from './testing/operations.ts'
import { openRawSocket } from './testing/raw-socket.ts'
import { keyOf, upload } from './testing/uploads.ts'

let app: TestApp
/** Hears of the other replica only through the store. */
let deaf: Replica
let bob: Person
let carol: Person
let count = 0
let alice: Person
beforeAll(async () => {
  app = await startTestApp()
  deaf = await app.addReplica()
  ;[bob, carol] = await Promise.all([app.signUp('bob'), app.signUp('carol')])
  await app.startWorkers()
})
beforeEach(async () => {
  alice = await app.signUp(`alice-${++count}`)
})
afterAll(() => app.stop())

type Confirmation = { username: string; password?: string | null; deleteMessages?: boolean }

const DeleteAccount = operation<{ deleteAccount: boolean }, Confirmation>(`
  mutation DeleteAccount($username: String!, $password: String, $deleteMessages: Boolean) {
    deleteAccount(username: $username, password: $password, deleteMessages: $deleteMessages)
  }`)

const FindUser = operation<{ user: { id: string } | null }, { username: string }>(
  `query FindUser($username: String!) { user(username: $username) { id } }`,
)

type Shown = { username: string; displayName: string; deleted: boolean; avatarUrl: string | null; presence: object }
const ShowUser = operation<{ node: Shown }, { id: string }>(`
  query ShowUser($id: ID!) {
    node(id: $id) { ... on User { username displayName deleted avatarUrl presence { status statusText lastActiveAt } } }
  }`)

const Members = operation<any, { channelId: string }>(`
  query Members($channelId: ID!) {
    channel(id: $channelId) { memberCount members { edges { node { role user { id deleted } } } } directPeer { id deleted } }
  }`)

const Contacts = operation<any>(`query Contacts { contacts { edges { node { id } } } }`)

const confirmed = (person: Person): Confirmation => ({ username: person.username, password: `${person.username}’s password` })

const remove = (person: Person, more: Partial<Confirmation> = {}) =>
  person.client.request(DeleteAccount, { ...confirmed(person), ...more })

const userIdOf = (person: Person) => (parseGlobalId(person.id) as { userId: string }).userId

/** Waits until the first round of the job is over; the second comes ten minutes later. */
async function settled(person: Person) {
  const [schema] = await app.app.database.run<{ name: string }>(`select current_schema() || '_jobs' as name`, [])
  await vi.waitFor(
    async () => {
      const [row] = await app.app.database.run<{ left: number }>(
        `select count(*)::int as left from ${schema!.name}.job
         where name in ('account-deletion', 'account-messages') and data ->> 'userId' = $1
           and state < 'completed' and start_after < now() + interval '5 minutes'`,
        [userIdOf(person)],
      )
      expect(row!.left).toBe(0)
    },
    { timeout: 20_000, interval: 100 },
  )
}

test('an account is gone at once: sessions, sockets on all replicas, sign-in, and the name', async () => {
  const [near, far] = await Promise.all([openRawSocket(app.url, alice.token), openRawSocket(deaf.url, alice.token)])
  await deaf.client(alice.token).request(ViewerDocument)
  expect(await remove(alice)).toEqual({ deleteAccount: true })
  expect(await near.closed).toBe(4403)
  expect((await failure(alice.client.request(ViewerDocument))).code).toBe('UNAUTHENTICATED')
  expect(await far.closed).toBe(4403)
  await vi.waitFor(async () => expect((await failure(deaf.client(alice.token).request(ViewerDocument))).code).toBe('UNAUTHENTICATED'), 5_000)
  const { refreshToken } = alice.tokens
  expect((await failure(app.client().request(RefreshSessionDocument, { refreshToken }))).code).toBe('UNAUTHENTICATED')
  const input = { username: alice.username, password: `${alice.username}’s password` }
  expect((await failure(app.client().request(SignInDocument, { input }))).code).toBe('UNAUTHENTICATED')
  expect(await bob.client.request(FindUser, { username: alice.username })).toEqual({ user: null })
  expect(await refusal(app.client().request(SignUpDocument, { input }))).toEqual({ code: 'CONFLICT', field: 'input.username' })
  // Once more is refused, as everything is.
  expect((await failure(remove(alice))).code).toBe('UNAUTHENTICATED')
})

test('what others see is a stub that says nothing', async () => {
  await alice.client.request(UpdateProfileDocument, { input: { displayName: 'Alice of Seoul' } })
  await alice.client.request(SetPresenceDocument, { status: 'DO_NOT_DISTURB', statusText: 'in Busan' })
  const channelId = await newChannel(bob, {}, [alice])
  const socket = await openRawSocket(app.url, alice.token)
  const said = await say(alice, channelId, 'hello')
  await bob.client.request(AddContactDocument, { userId: alice.id })
  await remove(alice)
  await socket.closed
  const { node } = await bob.client.request(ShowUser, { id: alice.id })
  expect(node.username).toMatch(/^deleted-[0-9a-z]+$/)
  expect(node).toEqual({
    username: node.username,
    displayName: node.username,
    deleted: true,
    avatarUrl: null,
    presence: { status: 'OFFLINE', statusText: null, lastActiveAt: null },
  })
  // The neutral name finds nobody, either.
  expect(await bob.client.request(FindUser, { username: node.username })).toEqual({ user: null })
  expect((await bob.client.request(ShowUser, { id: bob.id })).node.deleted).toBe(false)
  await settled(alice)
  const kept = (await history(bob, channelId)).find(({ id }) => id === said.id)
  expect(kept).toMatchObject({ content: 'hello', deletedAt: null, author: { id: alice.id } })
  expect((await bob.client.request(Contacts)).contacts.edges).toEqual([])
})

test('it is confirmed by the username and the password', async () => {
  expect(await refusal(remove(alice, { username: 'bob' }))).toEqual({ code: 'BAD_USER_INPUT', field: 'username' })
  expect(await refusal(remove(alice, { password: null }))).toEqual({ code: 'BAD_USER_INPUT', field: 'password' })
  expect(await refusal(remove(alice, { password: 'bob’s password' }))).toEqual({ code: 'BAD_USER_INPUT', field: 'password' })
  expect((await failure(app.client().request(DeleteAccount, confirmed(alice)))).code).toBe('UNAUTHENTICATED')
  await alice.client.request(ViewerDocument)
  expect(await remove(alice, { username: ` @${alice.username.toUpperCase()} ` })).toEqual({ deleteAccount: true })
})

test('of two deletions at once one does it', async () => {
  const outcomes = await Promise.allSettled([remove(alice), deaf.client(alice.token).request(DeleteAccount, confirmed(alice))])
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'UNAUTHENTICATED' } })
})

test('a sign-in whose password was checked before leaves no session', async () => {
  const input = { username: alice.username, password: `${alice.username}’s password` }
  const { database } = app.app
  const signIn = await database.transaction(async (tx) => {
    await tx.run('update users set deleted_at = now() where id = $1', [userIdOf(alice)])
    const answer = failure(app.client().request(SignInDocument, { input }))
    await vi.waitFor(async () => expect(await countLockWaits(database)).toBeGreaterThan(0), 5_000)
    return { answer }
  })
  expect((await signIn.answer).code).toBe('UNAUTHENTICATED')
})

test('channels are left, what was owned has an heir, and the others are told', async () => {
  const owned = await newChannel(alice, { name: 'owned' }, [bob, carol])
  const open = await newChannel(bob, { kind: 'PUBLIC', name: `open ${count}` })
  await bob.client.request(AddMembersDocument, { channelId: open, userIds: [alice.id] })
  const alone = await newChannel(alice, { name: 'alone' })
  await remove(alice)
  await settled(alice)
  const { channel } = await bob.client.request(Members, { channelId: owned })
  const roles = channel.members.edges.map(({ node }: any) => [node.user.id, node.role])
  expect(new Map(roles)).toEqual(new Map([[bob.id, 'OWNER'], [carol.id, 'MEMBER']]))
  expect(channel.memberCount).toBe(2)
  expect((await history(carol, owned)).filter(({ kind }) => kind === 'MEMBER_LEFT').map(({ author }) => author.id)).toEqual([alice.id])
  expect((await bob.client.request(Members, { channelId: open })).channel.memberCount).toBe(1)
  const { channelId } = parseGlobalId(alone) as { channelId: string }
  expect(await app.app.database.run('select member_count from channels where id = $1', [channelId])).toEqual([{ member_count: 0 }])
})

test('a direct channel is read on, and nobody can open it again', async () => {
  const { openDirectChannel } = await bob.client.request(OpenDirectChannelDocument, { userId: alice.id })
  const channelId = openDirectChannel.channel.id
  await bob.client.request(BlockUserDocument, { userId: alice.id })
  await bob.client.request(UnblockUserDocument, { userId: alice.id })
  await say(alice, channelId, `see you, @bob`)
  // Another time with a block that is taken back afterwards.
  await bob.client.request(BlockUserDocument, { userId: alice.id })
  await remove(alice)
  await settled(alice)
  await bob.client.request(UnblockUserDocument, { userId: alice.id })
  const input = { channelId, content: 'are you there?' }
  expect((await failure(bob.client.request(SendMessageDocument, { input }))).code).toBe('FORBIDDEN')
  expect((await history(bob, channelId)).map(({ content }) => content)).toEqual(['see you, @bob'])
  const { channel } = await bob.client.request(Members, { channelId })
  expect(channel.directPeer).toEqual({ id: alice.id, deleted: true })
  const { channels } = await bob.client.request(ChannelsDocument, {})
  expect(channels.edges.map(({ node }) => node.id)).toContain(channelId)
})

test('nobody can begin anything with a deleted account', async () => {
  const channelId = await newChannel(bob)
  await remove(alice)
  expect(await refusal(bob.client.request(OpenDirectChannelDocument, { userId: alice.id }))).toEqual(missing('userId'))
  expect(await refusal(bob.client.request(AddMembersDocument, { channelId, userIds: [alice.id] }))).toEqual(missing('userIds'))
  expect(await refusal(bob.client.request(AddContactDocument, { userId: alice.id }))).toEqual(missing('userId'))
  expect(await refusal(newChannel(bob, {}, [alice]))).toEqual(missing('input.memberIds'))
})

/** Something of everything that an account can have of its own. */
async function furnish(person: Person, channelId: string) {
  const sendAt = new Date(Date.now() + 3_600_000).toISOString()
  const { client } = person
  await client.request(SaveDraftDocument, { channelId, content: 'not yet' })
  await client.request(ScheduleMessageDocument, { input: { channelId, content: 'later', sendAt } })
  await client.request(CreateReminderDocument, { input: { note: 'tea', remindAt: sendAt } })
  await client.request(AddContactDocument, { userId: bob.id })
  await client.request(BlockUserDocument, { userId: carol.id })
  await client.request(RegisterDeviceDocument, { input: { platform: 'FCM', token: `token-of-${person.username}` } })
  await client.request(operation(`mutation Zone { updateSettings(input: { timeZone: "Asia/Seoul" }) { timeZone } }`))
  await client.request(operation(`mutation Export { requestDataExport { status } }`))
  return upload(person, Buffer.from('sent nowhere'), 'text/plain')
}

test('nothing is left that was only theirs', async () => {
  const channelId = await newChannel(alice, {}, [bob])
  const loose = await furnish(alice, channelId)
  const [{ key }] = (await app.app.database.run('select key from attachments where id = $1', [keyOf(loose.id).id])) as [{ key: string }]
  expect(await app.app.files.head(key)).not.toBeNull()
  await remove(alice)
  await settled(alice)
  const names = ['credentials', 'devices', 'active_channels', 'data_exports', ...ownTables()]
  for (const name of names) {
    expect(await app.app.database.run(`select from ${name} where user_id = $1`, [userIdOf(alice)]), name).toHaveLength(0)
  }
  expect(await app.app.database.run('select from name_keys where subject_id = $1', [userIdOf(alice)])).toHaveLength(0)
  await vi.waitFor(async () => {
    expect(await app.app.database.run('select from attachments where user_id = $1', [userIdOf(alice)])).toHaveLength(0)
    expect(await app.app.files.head(key)).toBeNull()
  }, 10_000)
})

test('an account without a password cannot be deleted by whoever holds one of its sessions', async () => {
  await app.app.database.run('delete from credentials where user_id = $1', [userIdOf(alice)])
  for (const password of [null, '', 'a guess']) {
    expect(await refusal(remove(alice, { password }))).toEqual({ code: 'BAD_USER_INPUT', field: 'password' })
  }
})

const ownTables = () => ownColumns.map(({ table }) => getTableName(table))

test('messages stay unless they are to go, and then every one of them', async () => {
  const channelId = await newChannel(bob, {}, [alice, carol])
  const direct = (await bob.client.request(OpenDirectChannelDocument, { userId: alice.id })).openDirectChannel.channel.id
  const left = await newChannel(bob, {}, [alice])
  const root = await say(bob, channelId, 'who brings what?')
  await say(alice, channelId, 'tea', { replyToId: root.id })
  await alice.client.request(AddReactionDocument, { messageId: root.id, emoji: '🍵' })
  for (let nth = 0; nth < 60; nth++) await say(alice, direct, `direct ${nth}`)
  await say(alice, left, 'before I left')
  await alice.client.request(LeaveChannelDocument, { channelId: left })
  await remove(alice, { deleteMessages: true })
  await settled(alice)
  await vi.waitFor(async () => {
    for (const place of [channelId, direct, left]) {
      const own = (await history(bob, place, 100)).filter(({ author, kind }) => author.id === alice.id && kind === 'USER')
      expect(own.length).toBeGreaterThan(0)
      expect(own.filter(({ content, deletedAt }) => content !== '' || deletedAt === null)).toEqual([])
    }
  }, 10_000)
  const rows = await history(bob, channelId)
  expect(rows.find(({ id }) => id === root.id)).toMatchObject({ content: 'who brings what?', replyCount: 0, reactions: [{ emoji: '🍵', count: 1 }] })
})

test('the name is free after 30 days', async () => {
  await remove(alice)
  const { accountDeletion } = app.app.services
  await accountDeletion.sweep(app.app.database)
  const input = { username: alice.username, password: 'long enough' }
  expect((await failure(app.client().request(SignUpDocument, { input }))).code).toBe('CONFLICT')
  const set = `update usernames set held_until = now() - interval '1 second' where key = $1 and held_until > now() + interval '29 days' returning key`
  expect(await app.app.database.run(set, [alice.username])).toHaveLength(1)
  await accountDeletion.sweep(app.app.database)
  const { signUp } = await app.client().request(SignUpDocument, { input })
  expect(signUp.viewer.username).toBe(alice.username)
  expect(signUp.viewer.id).not.toBe(alice.id)
})
