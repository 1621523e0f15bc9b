import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DeleteMessageDocument, JoinChannelDocument, LeaveChannelDocument, RemoveMemberDocument } from '../client-sdk/index.ts'
import { isShortCode, newShortCode } from '../server/lib/short-codes.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { bad, missing, newChannel, operation, refusal, say } from './testing/operations.ts'

let app: TestApp
let replica: Replica
let alice: Person
let bob: Person
let carol: Person
beforeAll(async () => {
  app = await startTestApp()
  replica = await app.addReplica({ JWT_SECRET: 'another secret, of thirty-two characters or more' })
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
})
afterAll(() => app.stop())

const create = operation(
  `mutation Link($messageId: ID!) { createMessageLink(messageId: $messageId) { code url visits message { id content } } }`,
)
const follow = operation(`query Follow($code: String!) { shortLink(code: $code) {
  __typename ... on MessageLink { code message { id content } } ... on Invite { code channel { name } }
} }`)
const invite = operation(`mutation Invite($input: CreateInviteInput!) { createInvite(input: $input) { code } }`)
const revoke = operation(`mutation Revoke($code: String!) { revokeInvite(code: $code) { code } }`)

const linkOf = async (person: Person, messageId: string, client = person.client) =>
  (await client.request(create, { messageId })).createMessageLink
const led = async (client: Person['client'], code: string) => (await client.request(follow, { code })).shortLink

/** A client of the other replica, which takes no tokens but those it has signed with its own secret. */
async function aliceElsewhere() {
  const given = { username: 'alice', password: 'alice’s password' }
  return replica.client((await replica.app.services.sessions.signIn(given)).accessToken)
}

describe('the link of a message', () => {
  test('is one, whoever asks, and leads those to it who may read it', async () => {
    const channelId = await newChannel(alice, {}, [bob])
    const { id } = await say(alice, channelId, 'hi')
    const link = await linkOf(alice, id)
    const url = `http://localhost:${app.server.port}/m/${link.code}`
    expect(link).toEqual({ code: link.code, url, visits: 0, message: { id, content: 'hi' } })
    expect(isShortCode(link.code)).toBe(true)
    expect((await linkOf(bob, id)).code).toBe(link.code)
    const target = { __typename: 'MessageLink', code: link.code, message: { id, content: 'hi' } }
    expect(await led(bob.client, link.code)).toEqual(target)
    for (const client of [carol.client, app.client()]) expect(await led(client, link.code)).toBeNull()
  })

  test('is one also when many ask at once, on two replicas', async () => {
    const { id } = await say(alice, await newChannel(alice), 'hi')
    const elsewhere = await aliceElsewhere()
    const clients = Array.from({ length: 20 }, (_, nth) => (nth % 2 === 0 ? alice.client : elsewhere))
    const links = await Promise.all(clients.map((client) => linkOf(alice, id, client)))
    expect(new Set(links.map(({ code }) => code)).size).toBe(1)
    const [link] = await app.app.database.run<{ id: string }>(
      'select target_id as id from short_links where code = $1',
      [links[0]!.code],
    )
    const rows = await app.app.database.run('select code from short_links where target_id = $1', [link!.id])
    expect(rows).toEqual([{ code: links[0]!.code }])
  })

  test('goes on working under another secret', async () => {
    const { id } = await say(alice, await newChannel(alice), 'hi')
    const { code } = await linkOf(alice, id)
    expect(await led(await aliceElsewhere(), code)).toMatchObject({ message: { id } })
  })

  test('shuts with the conversation, and opens with it', async () => {
    const channelId = await newChannel(alice, { kind: 'PUBLIC' }, [bob])
    const { id } = await say(alice, channelId, 'hi')
    const { code } = await linkOf(bob, id)
    for (const go of [
      () => bob.client.request(LeaveChannelDocument, { channelId }),
      () => alice.client.request(RemoveMemberDocument, { channelId, userId: bob.id }),
    ]) {
      await go()
      expect(await led(bob.client, code)).toBeNull()
      expect((await refusal(linkOf(bob, id))).code).toBe('FORBIDDEN')
      await bob.client.request(JoinChannelDocument, { channelId })
      expect(await led(bob.client, code)).toMatchObject({ message: { content: 'hi' } })
    }
    await alice.client.request(DeleteMessageDocument, { messageId: id })
    expect(await led(bob.client, code)).toMatchObject({ message: { content: '' } })
  })

  test('is of a message that is there', async () => {
    const channelId = await newChannel(alice)
    expect(await refusal(linkOf(alice, channelId))).toEqual(bad('messageId'))
    expect(await refusal(linkOf(alice, `m${channelId.slice(1)}_1`))).toEqual(missing('messageId'))
    expect((await refusal(linkOf(carol, (await say(alice, channelId, 'hi')).id))).code).toBe('FORBIDDEN')
    const { id } = await say(alice, channelId, 'hi')
    expect((await refusal(app.client().request(create, { messageId: id }))).code).toBe('UNAUTHENTICATED')
  })
})

test('an invite is a short link, too, as long as it is good; codes of one kind are nothing as another', async () => {
  const channelId = await newChannel(alice)
  const { createInvite } = await alice.client.request(invite, { input: { channelId } })
  const { code } = createInvite
  expect(await led(app.client(), code)).toEqual({ __typename: 'Invite', code, channel: { name: 'tea' } })
  const message = await linkOf(alice, (await say(alice, channelId, 'hi')).id)
  const join = operation(`mutation Join($code: String!) { joinByInvite(code: $code) { channel { id } } }`)
  expect(await refusal(alice.client.request(join, { code: message.code }))).toEqual(missing('code'))
  await alice.client.request(revoke, { code })
  for (const none of [code, newShortCode(), '', 'x', '%00', '가'.repeat(10_000)]) expect(await led(alice.client, none)).toBeNull()
})
