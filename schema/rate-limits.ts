import type { GraphQLSchema } from 'graphql'
import type { FieldLimit, Kind } from '../server/rate-limits/kinds.ts'
import { typedUsernameKey } from '../server/domain/account-deletion-name.ts'
import { findableKey } from '../server/lib/text.ts'

/** Which fields at the root are of which kind. A test holds that each field of the schema stands here once. */
const fieldsByKind: Partial<Record<Kind, string>> = {
  SEND: `
    sendMessage editMessage deleteMessage addReaction removeReaction pinMessage unpinMessage
    scheduleMessage updateScheduledMessage cancelScheduledMessage removeLinkPreview`,
  SEARCH: 'searchMessages publicChannels autocomplete',
  UPLOAD: 'createUpload completeUpload',
  CREATE: `
    createChannel openDirectChannel updateChannel joinChannel leaveChannel addMembers removeMember setMemberRole
    setMessageExpiry setSlowMode createInvite revokeInvite joinByInvite createMessageLink createReminder deleteReminder
    banMember unbanMember silenceMember reportMessage reportUser resolveReport deleteReportedMessage
    addContact removeContact blockUser unblockUser registerDevice unregisterDevice
    requestDataExport updateProfile updateSettings`,
  LINK: 'invite shortLink',
  OTHER: `
    node nodes viewer viewerIsModerator user settings contacts blocks channel channels channelBans invites
    scheduledMessages reminders devices webPushKey activity activityUnreadCount feed endpoint reports auditLog dataExports
    refreshSession signOut markRead markUnread markThreadRead markActivityRead saveDraft
    setActiveChannel setChannelNotifications setPresence setTyping
    messages inbox presence typing readReceipts`,
}

/** A name as the service looks for it; all that nobody can be called are one. A very long one would take long to spell. */
const keyOfName = (name: unknown): string => findableKey(String(name)) ?? ''

/** What has more to say than its kind. */
const special: Record<string, FieldLimit> = {
  signUp: { kind: 'SIGN_UP', byAddress: true },
  signIn: { kind: 'SIGN_IN', byAddress: true, failuresBy: ({ input }) => keyOfName(input?.username) },
  // Whoever has got hold of somebody's device must not try passwords on it, however the name is spelt.
  deleteAccount: { kind: 'SIGN_IN', byAddress: true, failuresBy: ({ username }) => typedUsernameKey(String(username)) },
}

const limits = new Map<string, FieldLimit>(Object.entries(special))
for (const [kind, names] of Object.entries(fieldsByKind)) {
  for (const name of names.trim().split(/\s+/)) limits.set(name, { kind: kind as Kind })
}

/** Says of each field at the root how it is limited. One that is not listed counts as OTHER. */
export function markRateLimits(schema: GraphQLSchema): void {
  for (const type of [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]) {
    for (const field of Object.values(type?.getFields() ?? {})) {
      const rateLimit = limits.get(field.name)
      if (rateLimit !== undefined) field.extensions = { ...field.extensions, rateLimit }
    }
  }
}
