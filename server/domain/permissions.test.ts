import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  AddMembersDocument,
  AddReactionDocument,
  ChannelDocument,
  DeleteMessageDocument,
  EditMessageDocument,
  HistoryDocument,
  JoinChannelDocument,
  LeaveChannelDocument,
  MaruClientError,
  OpenDirectChannelDocument,
  PinMessageDocument,
  RemoveMemberDocument,
  SendMessageDocument,
  SetMemberRoleDocument,
  SetMessageExpiryDocument,
  UpdateChannelDocument,
} from '../../client-sdk/index.ts'
import { auditLogOf, ban, inAnHour, reportsOf, silence } from '../../schema/testing/moderation.ts'
import { newChannel, operation, say } from '../../schema/testing/operations.ts'
import type { ChannelKind } from '../message-store/rows.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'
import { type Action, actions, may, outranks, permissions, type Standing } from './permissions.ts'

let app: TestApp
/** Who tries. */
let alice: Person
/** Whose channels they are, and the other one of a DIRECT channel. */
let bob: Person
/** A member without a role, of whom the roles of others are not the matter. */
let carol: Person
/** In no channel. */
let dan: Person
beforeAll(async () => {
  app = await startTestApp()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
  dan = await app.signUp('dan')
})
afterAll(() => app.stop())

const setSlowMode = operation(
  'mutation SetSlowMode($channelId: ID!, $seconds: Int) { setSlowMode(channelId: $channelId, seconds: $seconds) { channel { id } } }',
)

/** A channel as alice finds it: her standing to it, and messages of hers and of bob's. */
type Scene = { channelId: string; kind: ChannelKind; own: string; others: string }

/** What alice does for each action; resolves with false where the answer says no without an error. */
const exercises: Record<Action, (scene: Scene) => Promise<unknown>> = {
  see: async ({ channelId }) => (await alice.client.request(ChannelDocument, { id: channelId })).channel !== null,
  read: async ({ channelId }) =>
    (await alice.client.request(HistoryDocument, { channelId, last: 1 })).channel?.messages !== undefined,
  post: ({ channelId }) => alice.client.request(SendMessageDocument, { input: { channelId, content: 'hi' } }),
  react: ({ others }) => alice.client.request(AddReactionDocument, { messageId: others, emoji: '👍' }),
  editOwn: ({ own }) => alice.client.request(EditMessageDocument, { input: { messageId: own, content: 'better' } }),
  deleteOwn: ({ own }) => alice.client.request(DeleteMessageDocument, { messageId: own }),
  deleteAny: ({ others }) => alice.client.request(DeleteMessageDocument, { messageId: others }),
  pin: ({ others }) => alice.client.request(PinMessageDocument, { messageId: others }),
  update: ({ channelId }) => alice.client.request(UpdateChannelDocument, { input: { channelId, topic: 'new' } }),
  setExpiry: ({ channelId }) => alice.client.request(SetMessageExpiryDocument, { channelId, seconds: 60 }),
  setSlowMode: ({ channelId }) => alice.client.request(setSlowMode, { channelId, seconds: 60 }),
  join: ({ channelId }) => alice.client.request(JoinChannelDocument, { channelId }),
  leave: ({ channelId }) => alice.client.request(LeaveChannelDocument, { channelId }),
  addMember: ({ channelId }) => alice.client.request(AddMembersDocument, { channelId, userIds: [dan.id] }),
  removeMember: ({ channelId, kind }) =>
    alice.client.request(RemoveMemberDocument, { channelId, userId: kind === 'DIRECT' ? bob.id : carol.id }),
  setRole: ({ channelId }) => alice.client.request(SetMemberRoleDocument, { channelId, userId: bob.id, role: 'ADMIN' }),
  ban: ({ channelId, kind }) => ban(alice, channelId, kind === 'DIRECT' ? bob : carol),
  silence: ({ channelId, kind }) => silence(alice, channelId, kind === 'DIRECT' ? bob : carol, inAnHour()),
  readReports: ({ channelId }) => reportsOf(alice, channelId),
  readAuditLog: ({ channelId }) => auditLogOf(alice, channelId),
}

/** Puts alice where she has this standing, after she and bob have spoken. */
async function arrange(kind: ChannelKind, standing: Standing): Promise<Scene> {
  const channelId = kind === 'DIRECT' ? await arrangeDirect(standing) : await newChannel(bob, { kind }, [alice, carol])
  const wasNeverThere = kind === 'DIRECT' && standing === 'NONE'
  const own = wasNeverThere ? messageOfNobody(channelId) : (await say(alice, channelId, 'mine')).id
  const others = (await say(bob, channelId, 'his')).id
  if (kind !== 'DIRECT') await place(channelId, standing)
  return { channelId, kind, own, others }
}

async function arrangeDirect(standing: Standing): Promise<string> {
  const other = standing === 'NONE' ? carol : alice
  return (await bob.client.request(OpenDirectChannelDocument, { userId: other.id })).openDirectChannel.channel.id
}

/** Alice was never in the channel, so that she has said nothing there. */
const messageOfNobody = (channelId: string) => `m${channelId.slice(1)}_1`

async function place(channelId: string, standing: Standing): Promise<void> {
  if (standing === 'NONE') await bob.client.request(RemoveMemberDocument, { channelId, userId: alice.id })
  else if (standing !== 'MEMBER') {
    // With two owners, what the last owner may not do stays out of it.
    await bob.client.request(SetMemberRoleDocument, { channelId, userId: alice.id, role: standing })
  }
}

/** Whether alice may do it: yes, or FORBIDDEN. Anything else fails the test. */
async function attempt(action: Action, scene: Scene): Promise<boolean> {
  try {
    return (await exercises[action](scene)) !== false
  } catch (error) {
    if (error instanceof MaruClientError && error.code === 'FORBIDDEN') return false
    throw error
  }
}

const kinds: ChannelKind[] = ['DIRECT', 'GROUP', 'PUBLIC']
const standings: Standing[] = ['OWNER', 'ADMIN', 'MEMBER', 'NONE']
/** The two of a DIRECT channel have no roles. */
const exists = (kind: ChannelKind, standing: Standing) => kind !== 'DIRECT' || ['MEMBER', 'NONE'].includes(standing)

describe('who may do what is what the table says', () => {
  test('every action of the table is tried here', () => {
    expect(Object.keys(exercises).toSorted()).toEqual([...actions].toSorted())
    expect(Object.keys(permissions).toSorted()).toEqual([...actions].toSorted())
  })

  test.each(actions)('%s', async (action) => {
    const allowed: Record<string, boolean> = {}
    const written: Record<string, boolean> = {}
    for (const kind of kinds) {
      for (const standing of standings) {
        if (!exists(kind, standing)) {
          expect(may(standing, action, kind), `${standing} of a ${kind} channel`).toBe(false)
          continue
        }
        const name = `${standing} in ${kind}`
        allowed[name] = await attempt(action, await arrange(kind, standing))
        written[name] = may(standing, action, kind)
      }
    }
    expect(Object.keys(allowed)).toHaveLength(10)
    expect(allowed).toEqual(written)
  })
})

test('each role stands above those after it, and nobody above their own', () => {
  for (const [place, higher] of standings.entries()) {
    for (const [other, lower] of standings.entries()) expect(outranks(higher, lower)).toBe(place < other)
  }
})
