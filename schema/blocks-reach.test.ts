import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import {
  AddMembersDocument,
  CreateReminderDocument,
  InboxDocument,
  JoinChannelDocument,
  MessagesDocument,
  PinMessageDocument,
  RemoveMemberDocument,
  ScheduleMessageDocument,
  SearchMessagesDocument,
  SetMemberRoleDocument,
  SetMessageExpiryDocument,
  SetTypingDocument,
  TypingDocument,
  UnpinMessageDocument,
} from '../client-sdk/index.ts'
import { type Person, startTestApp, type TestApp } from '../server/testing/test-app.ts'
import { block, edit, openDirect, unblock } from './testing/blocks.ts'
import { feedPage } from './testing/feed.ts'
import { ban, inAnHour, reportMessage, reportUser, silence, unban } from './testing/moderation.ts'
import { history, newChannel, operation, say } from './testing/operations.ts'
import {
  arrange, arrangeSpoken, both, hasActivity, isAllowed, isMailed, isTold, mark, mentionsOf, react, type Reach, said, sendDue, tryWay,
  type Way,
} from './testing/reach.ts'

/**
 * Every way in which one person can reach another. Each is tried in both directions before one has blocked the other,
 * while that lasts, and after it was taken back. What they see of each other, and are pushed, is in
 * `blocks-seen.test.ts`.
 */

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let app: TestApp
beforeAll(async () => {
  app = await startTestApp()
  await app.startWorkers()
})
afterAll(() => app.stop())

const addTo = (from: Person, channelId: string, people: Person[]) =>
  isAllowed(from.client.request(AddMembersDocument, { channelId, userIds: people.map(({ id }) => id) }))
const newPublic = (from: Person, people: Person[] = []) => newChannel(from, { kind: 'PUBLIC', name: mark() }, people)
const createInvite = operation('mutation Invite($channelId: ID!) { createInvite(input: { channelId: $channelId }) { code } }')
const joinByInvite = operation('mutation ByInvite($code: String!) { joinByInvite(code: $code) { channel { id } } }')

const directChannel: Way[] = [
  ['writing to them', 'shut', async (from, _, scene) => isAllowed(say(from, await scene.direct(), mark()))],
  ['answering them', 'shut', async (from, to, scene) =>
    isAllowed(say(from, await scene.direct(), mark(), { replyToId: await said(scene, to, 'direct') }))],
  ['saying something else than one has said', 'shut', async (from, _, scene) =>
    isAllowed(edit(from, await said(scene, from, 'direct'), mark()))],
  ['reacting', 'shut', async (from, to, scene) => isAllowed(react(from, await said(scene, to, 'direct')))],
  ['pinning', 'shut', async (from, _, scene) => {
    const messageId = await said(scene, from, 'direct')
    const isPinned = await isAllowed(from.client.request(PinMessageDocument, { messageId }))
    if (isPinned) await from.client.request(UnpinMessageDocument, { messageId })
    return isPinned
  }],
  ['scheduling a message', 'shut', async (from, _, scene) => {
    const input = { channelId: await scene.direct(), content: mark(), sendAt: inAnHour() }
    return isAllowed(from.client.request(ScheduleMessageDocument, { input }))
  }],
  ['being seen to type', 'shut', async (from, _, scene) =>
    isAllowed(from.client.request(SetTypingDocument, { channelId: await scene.direct(), typing: true }))],
  ['making messages disappear', 'shut', async (from, _, scene) =>
    isAllowed(from.client.request(SetMessageExpiryDocument, { channelId: await scene.direct(), seconds: null }))],
  ['opening what is there', 'stays', async (from, to) => isAllowed(openDirect(from, to))],
  ['reading what was said', 'stays', async (from, to, scene) => {
    const messageId = await said(scene, to, 'direct')
    return (await history(from, await scene.direct())).some(({ id }) => id === messageId)
  }],
]
test.each(directChannel)('the DIRECT channel: %s: %s', async (_, left, reach) =>
  tryWay(await arrangeSpoken(app, 'direct'), left, reach),
)

const channels: Way[] = [
  ['bringing them into a group', 'one way', async (from, to) => addTo(from, await newChannel(from), [to])],
  ['bringing them into a public channel', 'one way', async (from, to) => addTo(from, await newPublic(from), [to])],
  ['bringing them in with others', 'one way', async (from, to, { carol }) =>
    addTo(from, await newChannel(from), [carol, to])],
  ['making a group with them', 'one way', (from, to) => isAllowed(newChannel(from, {}, [to]))],
  ['making a public channel with them', 'one way', (from, to) => isAllowed(newPublic(from, [to]))],
  ['an invite that they open themselves', 'stays', async (from, to) => {
    const { createInvite: invite } = await from.client.request(createInvite, { channelId: await newChannel(from) })
    return isAllowed(to.client.request(joinByInvite, { code: invite.code }))
  }],
  ['a public channel that they enter themselves', 'stays', async (from, to) =>
    isAllowed(to.client.request(JoinChannelDocument, { channelId: await newPublic(from) }))],
  ['keeping order: silencing, removing and banning them', 'stays', async (from, to, { carol }) => {
    const channelId = await newPublic(carol, [from, to])
    await carol.client.request(SetMemberRoleDocument, { channelId, userId: from.id, role: 'ADMIN' })
    await silence(from, channelId, to, inAnHour())
    await from.client.request(RemoveMemberDocument, { channelId, userId: to.id })
    await ban(from, channelId, to)
    await unban(from, channelId, to)
    return true
  }],
]
test.each(channels)('channels: %s: %s', async (_, left, reach) => tryWay(await arrange(app), left, reach))

const inGroups: Way[] = [
  ['what is said', 'stays', async (from, to, { group }) => {
    const { id } = await say(from, group, mark())
    return (await history(to, group)).some((message) => message.id === id)
  }],
  ['what is said, live', 'stays', async (from, to, scene) => {
    const { group, carol } = scene
    const says = (person: Person, content = mark()) => ({
      does: () => say(person, group, content),
      isIt: (event: { messages: { message: { content: string } } }) => event.messages.message.content === content,
    })
    return isTold(scene, to, 'messages', [MessagesDocument, { channelId: group }], says(from), says(carol))
  }],
  ['what is said, in the inbox', 'stays', async (from, to, scene) => {
    const { group, carol } = scene
    const says = (person: Person, content = mark()) => ({
      does: () => say(person, group, content),
      isIt: ({ inbox }: any) => inbox.message?.content === content,
    })
    return isTold(scene, to, 'inbox', [InboxDocument, {}], says(from), says(carol))
  }],
  ['an answer', 'stays', async (from, to, scene) =>
    (await say(from, scene.group, mark(), { replyToId: await said(scene, to, 'group') })).replyTo !== null],
  ['a reaction', 'stays', async (from, to, scene) => isAllowed(react(from, await said(scene, to, 'group')))],
  ['being seen to type', 'stays', async (from, to, scene) => {
    const { group: channelId, carol } = scene
    const types = (person: Person) => ({
      does: () => person.client.request(SetTypingDocument, { channelId, typing: true }),
      isIt: (event: { typing: { user: { id: string } } }) => event.typing.user.id === person.id,
    })
    return isTold(scene, to, 'typing', [TypingDocument, { channelId }], types(from), types(carol))
  }],
  ['being found by what was said', 'stays', async (from, to, { group }) => {
    const query = mark()
    const { id } = await say(from, group, query)
    const { searchMessages } = await to.client.request(SearchMessagesDocument, { query, channelId: group })
    return searchMessages.edges.some(({ node }) => node.id === id)
  }],
  ['a mention', 'one way', async (from, to, { group }) => {
    const before = await mentionsOf(to, group)
    await say(from, group, `${mark()} @${to.username}`)
    return (await mentionsOf(to, group)) > before
  }],
  ['a mention that is put in later', 'one way', async (from, to, { group }) => {
    const { id } = await say(from, group, mark())
    const before = await mentionsOf(to, group)
    await edit(from, id, `${mark()} @${to.username}`)
    return (await mentionsOf(to, group)) > before
  }],
  ['a mention in an answer', 'one way', async (from, to, scene) => {
    const before = await mentionsOf(to, scene.group)
    await say(from, scene.group, `${mark()} @${to.username}`, { replyToId: await said(scene, to, 'group') })
    return (await mentionsOf(to, scene.group)) > before
  }],
  ['the feed', 'one way', async (from, to, { group }) => {
    const { id } = await say(from, group, mark())
    return (await feedPage(to)).edges.some(({ node }) => node.id === id)
  }],
  ['mail for who is away', 'one way', async (from, to, scene) => {
    const content = mark()
    await say(from, scene.group, content)
    return isMailed(scene, to, content)
  }],
  ['a reminder of what was said, which they set themselves', 'stays', async (from, to, scene) => {
    const messageId = await said(scene, from, 'group')
    const input = { messageId, note: mark(), remindAt: inAnHour() }
    return (await to.client.request(CreateReminderDocument, { input })).createReminder.message?.id === messageId
  }],
  ['a report to those who keep order', 'stays', async (from, to, scene) =>
    (await reportMessage(from, await said(scene, to, 'group'))) && reportUser(from, to)],
]
test.each(inGroups)('a channel that both are in: %s: %s', async (_, left, reach) =>
  tryWay(await arrangeSpoken(app, 'group'), left, reach),
)

const activities: Way[] = [
  ['a mention', 'shut', async (from, to, scene) => {
    const { id } = await say(from, scene.group, `${mark()} @${to.username}`)
    return hasActivity(scene, to, ({ message }) => message?.id === id)
  }],
  ['an answer', 'shut', async (from, to, scene) => {
    const { id } = await say(from, scene.group, mark(), { replyToId: await said(scene, to, 'group') })
    return hasActivity(scene, to, ({ message }) => message?.id === id)
  }],
  ['a reaction', 'shut', async (from, to, scene) => {
    const messageId = await said(scene, to, 'group')
    let isThere = false
    await react(from, messageId, async () => {
      isThere = await hasActivity(scene, to, ({ kind, message }) => kind === 'REACTION' && message?.id === messageId)
    })
    return isThere
  }],
  ['having been brought in, before or meanwhile', 'shut', async (from, to, scene) => {
    const key = `brought in by ${from.username}`
    const channelId = scene.kept.get(key) ?? (await newChannel(from, {}, [to]))
    scene.kept.set(key, channelId)
    return hasActivity(scene, to, ({ kind, channel }) => kind === 'ADDED_TO_CHANNEL' && channel.id === channelId)
  }],
]
test.each(activities)('activity: %s: %s', async (_, left, reach) => tryWay(await arrangeSpoken(app, 'group'), left, reach))

const firstTime: [way: string, reach: Reach][] = [
  ['opening one', (from, to) => isAllowed(openDirect(from, to))],
  ['making one', (from, to) => isAllowed(newChannel(from, { kind: 'DIRECT', name: null }, [to]))],
]
test.each(firstTime)('a DIRECT channel that is not there yet: %s is left to neither', async (_, reach) => {
  const scene = await arrange(app)
  await block(scene.alice, scene.bob)
  expect(await both(reach, scene)).toEqual([false, false])
  await unblock(scene.alice, scene.bob)
  expect(await both(reach, scene)).toEqual([true, true])
})

test('what was scheduled before is not sent while the block lasts', async () => {
  const scene = await arrange(app)
  const channelId = await scene.direct()
  const schedule = async (from: Person) => {
    const content = mark()
    const input = { channelId, content, sendAt: inAnHour() }
    const { scheduleMessage } = await from.client.request(ScheduleMessageDocument, { input })
    return () => sendDue(scene, from, scheduleMessage.id, channelId, content)
  }
  const scheduled = await Promise.all([scene.bob, scene.alice, scene.bob, scene.alice, scene.bob, scene.alice].map(schedule))
  const sendTwo = async () => [await scheduled.shift()!(), await scheduled.shift()!()]
  expect(await sendTwo()).toEqual([true, true])
  await block(scene.alice, scene.bob)
  expect(await sendTwo()).toEqual([false, false])
  await unblock(scene.alice, scene.bob)
  expect(await sendTwo()).toEqual([true, true])
})

test('what was said before leaves the feed with the block, and comes back when it is taken back', async () => {
  const { alice, bob, group } = await arrange(app)
  const { id } = await say(bob, group, mark())
  const isFed = async () => (await feedPage(alice)).edges.some(({ node }) => node.id === id)
  expect(await isFed()).toBe(true)
  await block(alice, bob)
  expect(await isFed()).toBe(false)
  await unblock(alice, bob)
  expect(await isFed()).toBe(true)
})
