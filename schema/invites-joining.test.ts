import { afterAll, beforeAll, expect, test } from 'vitest'
import { AddMembersDocument, RemoveMemberDocument, SetMemberRoleDocument } from '../client-sdk/index.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { countLockWaits } from '../server/testing/lock-waits.ts'
import { type Person, type Replica, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { invited, invitesOf, joinBy, joinByInvite, revokeInvite, usernames } from './testing/invites.ts'
import { history, missing, newChannel, refusal } from './testing/operations.ts'

/** Many who come by one invite at once, on two replicas. */
let app: TestApp
let replica: Replica
let alice: Person
let bob: Person
let carol: Person
let guests: Person[]
beforeAll(async () => {
  app = await startTestApp()
  replica = await app.addReplica()
  ;[alice, bob, carol] = await Promise.all([app.signUp('alice'), app.signUp('bob'), app.signUp('carol')])
  guests = await Promise.all(Array.from({ length: 20 }, (_, number) => app.signUp(`guest${number}`)))
})
afterAll(() => app.stop())

const notGood = missing('code')

test('they do not use it more often than it says', async () => {
  const channelId = await newChannel(alice)
  const { code } = await invited(alice, { channelId, maxUses: 10 })
  // Each of 20 at both replicas, some three times: 50 in all.
  const clients = guests.flatMap((guest, nth) => [
    guest.client, replica.client(guest.token), ...(nth < 10 ? [guest.client] : []),
  ])
  expect(clients).toHaveLength(50)
  const outcomes = await Promise.allSettled(clients.map((client) => client.request(joinByInvite, { code })))
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => reason.code)
  expect(new Set(refused)).toEqual(new Set(['CONFLICT']))
  const [{ node }] = (await invitesOf(alice, channelId)).edges
  expect(node).toMatchObject({ uses: 10, usesLeft: 0, channel: { memberCount: 11 } })
  const came = usernames(node.joined)
  expect([came.length, new Set(came).size]).toEqual([10, 10])
  const told = (await history(alice, channelId)).map(({ author }) => author.username)
  expect(told.toSorted()).toEqual(came.toSorted())
})

test('they do not come any more once it is taken back', async () => {
  const channelId = await newChannel(alice)
  const { code } = await invited(alice, { channelId })
  const joins = guests.map((guest, nth) => joinBy(guest, code, nth % 2 === 0 ? guest.client : replica.client(guest.token)))
  const settled = Promise.allSettled(joins)
  await Promise.race(joins)
  await alice.client.request(revokeInvite, { code })
  const { uses } = (await invitesOf(alice, channelId)).edges[0].node
  const outcomes = await settled
  const [{ node }] = (await invitesOf(alice, channelId)).edges
  // Nobody was let in after it was said that nobody is.
  expect(node).toMatchObject({ uses, channel: { memberCount: uses + 1 } })
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(uses)
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => reason.code)
  expect(refused.every((refusedBy) => refusedBy === 'NOT_FOUND')).toBe(true)
})

test('they do not come any more where the invite was good when they asked, and is not when it is their turn', async () => {
  const channelId = await newChannel(alice, {}, [bob])
  await alice.client.request(SetMemberRoleDocument, { channelId, userId: bob.id, role: 'ADMIN' })
  const [his, hers] = [await invited(bob, { channelId }), await invited(alice, { channelId })]
  const id = parseGlobalId(channelId)
  const waiting = (count: number) => expect.poll(() => countLockWaits(app.app.database)).toBe(count)
  const coming = (code: string) => refusal(joinBy(carol, code, replica.client(carol.token)))
  /** Lets nobody else change the channel meanwhile. */
  const holding = (work: () => Promise<unknown[]>) =>
    app.app.database.transaction(async (tx) => {
      await tx.run('select from channels where id = $1 for no key update', [id?.type === 'Channel' ? id.channelId : null])
      return { begun: await work() }
    })

  const { begun } = await holding(async () => {
    const removing = alice.client.request(RemoveMemberDocument, { channelId, userId: bob.id })
    await waiting(1)
    const refused = coming(his.code)
    await waiting(2)
    return [removing, refused]
  })
  expect((await Promise.all(begun))[1]).toEqual(notGood)

  const taken = await holding(async () => {
    const refused = coming(hers.code)
    await waiting(1)
    await alice.client.request(revokeInvite, { code: hers.code })
    return [refused]
  })
  expect(await taken.begun[0]).toEqual(notGood)
})

test('who is also added comes once', async () => {
  const channelId = await newChannel(alice)
  const { code } = await invited(alice, { channelId, maxUses: 1 })
  const added = alice.client.request(AddMembersDocument, { channelId, userIds: [bob.id] })
  await Promise.all([added, joinBy(bob, code, replica.client(bob.token))])
  expect((await history(alice, channelId)).map(({ author }) => author.username)).toEqual(['bob'])
  const [{ node }] = (await invitesOf(alice, channelId)).edges
  expect([0, 1]).toContain(node.uses)
  expect(node.joined.edges).toHaveLength(node.uses)
})
