import type { Activity } from '../server/domain/activities.ts'
import type { Presence } from '../server/domain/presence.ts'
import type { ReactionSummary } from '../server/domain/reactions.ts'
import type { ReminderRow } from '../server/domain/reminders.ts'
import type { ThreadState } from '../server/domain/threads.ts'
import type { UserRow } from '../server/domain/users.ts'
import type { ChannelRow, MemberRow, MessageRow } from '../server/message-store/rows.ts'
import { builder } from './builder.ts'

/** The types that refer to each other, named here and described in the files of their nouns. */
export const userType = builder.objectRef<UserRow>('User')
export const presenceType = builder.objectRef<Presence>('Presence')
export const channelType = builder.objectRef<ChannelRow>('Channel')
export const memberType = builder.objectRef<MemberRow>('Member')
export const messageType = builder.objectRef<MessageRow>('Message')
export const reactionType = builder.objectRef<ReactionSummary & { channelId: string }>('Reaction')
export const reminderType = builder.objectRef<ReminderRow>('Reminder')
export const activityType = builder.objectRef<Activity>('Activity')
export const threadStateType = builder.objectRef<ThreadState>('ThreadState')

export const presenceStatus = builder.enumType('PresenceStatus', {
  description: 'Whether somebody is there.',
  values: {
    ONLINE: { description: 'Connected with a device. Setting it follows the connections again.' },
    AWAY: { description: 'Connected, and not at it just now: for the client to say.' },
    DO_NOT_DISTURB: { description: 'Connected, and not to be disturbed: nothing is pushed until it is set otherwise, connected or not.' },
    OFFLINE: { description: 'Not connected, hidden, or none of the viewer’s business.' },
  } as const,
})
export const channelKind = builder.enumType('ChannelKind', {
  description: 'Who can be in a channel.',
  values: {
    DIRECT: { description: 'Two people; there is one for each pair.' },
    GROUP: { description: 'Invited people, up to the number that the deployment allows.' },
    PUBLIC: { description: 'Anyone may join; any size.' },
  } as const,
})
export const memberRole = builder.enumType('MemberRole', {
  description: 'What somebody may do in a channel. In a DIRECT one both are members.',
  values: {
    OWNER: { description: 'Everything, and gives roles. There is always one; an empty PUBLIC channel is owned by whoever joins it first.' },
    ADMIN: { description: 'Keeps order: name and topic, who is in, what others have written.' },
    MEMBER: { description: 'Reads and writes.' },
  } as const,
})
export const notificationLevel = builder.enumType('NotificationLevel', {
  description: 'What of a channel is pushed.',
  values: {
    ALL: { description: 'Every message.' },
    MENTIONS: { description: 'Where the viewer is mentioned or answered.' },
    NONE: { description: 'Nothing.' },
  } as const,
})
export const messageKind = builder.enumType('MessageKind', {
  description: 'Whether people wrote it, or the server tells by it what somebody did.',
  values: {
    USER: { description: 'Written by its author.' },
    ACTION: { description: 'Written by its author about themselves, as with /me.' },
    MEMBER_JOINED: { description: 'The author has come in.' },
    MEMBER_LEFT: { description: 'The author has gone.' },
    CHANNEL_UPDATED: { description: 'The author has changed the name or the topic; the content is the new one.' },
  } as const,
})
