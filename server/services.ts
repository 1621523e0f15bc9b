import { createAccountDeletionService } from './domain/account-deletion.ts'
import { createAccountMessagesService } from './domain/account-deletion-messages.ts'
import { createActiveChannelsService } from './domain/active-channels.ts'
import { createActivitiesService } from './domain/activities.ts'
import { createAttachmentsService } from './domain/attachments.ts'
import { createAutocompleteService } from './domain/autocomplete.ts'
import { createAuditLogService } from './domain/audit-log.ts'
import { createBansService } from './domain/bans.ts'
import { createBlocksService } from './domain/blocks.ts'
import { createChannelsService } from './domain/channels.ts'
import { createContactsService } from './domain/contacts.ts'
import { createDataExportsService } from './domain/data-exports.ts'
import { createDevicesService } from './domain/devices.ts'
import { createDraftsService } from './domain/drafts.ts'
import { createEndpointService } from './domain/endpoint.ts'
import { createFeedService } from './domain/feed.ts'
import { createHistoryService } from './domain/history.ts'
import { createInvitesService } from './domain/invites.ts'
import { createLinkPreviewsService } from './domain/link-previews.ts'
import { createMembersService } from './domain/members.ts'
import { createMessageExpiryService } from './domain/message-expiry.ts'
import { createMessagesService } from './domain/messages.ts'
import { createPinsService } from './domain/pins.ts'
import { createPresenceService } from './domain/presence.ts'
import { createReactionsService } from './domain/reactions.ts'
import { createReadStateService } from './domain/read-state.ts'
import { createRemindersService } from './domain/reminders.ts'
import { createReportsService } from './domain/reports.ts'
import { createScheduledMessagesService } from './domain/scheduled-messages.ts'
import type { Deps } from './domain/deps.ts'
import { createSearchSamplesService } from './domain/search-samples.ts'
import { createSearchService } from './domain/search.ts'
import { createSessionsService } from './domain/sessions.ts'
import { type AskForVerification, createSettingsService } from './domain/settings.ts'
import { createSilencesService } from './domain/silences.ts'
import { createSlowModeService } from './domain/slow-mode.ts'
import { createThreadsService } from './domain/threads.ts'
import { createShortLinksService } from './domain/short-links.ts'
import { createTypingService } from './domain/typing.ts'
import { createUsersService } from './domain/users.ts'
import type { OpenPresenceRegistry } from './presence/registry.ts'
import type { ReplicaRegistry } from './replicas/registry.ts'
import type { AccessTokens } from './lib/access-tokens.ts'

export type Services = ReturnType<typeof createServices>

/** Every service, by noun. */
export function createServices(
  deps: Deps,
  accounts: { tokens: AccessTokens; refreshDays: number; external: boolean },
  openRegistry: OpenPresenceRegistry,
  /**
   * What browsers subscribe to pushes with, and how a mailbox is asked whose it is, null where there is none; and where
   * people reach the server, and how many sockets of one it takes.
   */
  outwards: {
    webPushKey: string | null
    askForVerification: AskForVerification | null
    publicUrl(): string
    socketsPerUser?: number
  } = {
    webPushKey: null,
    askForVerification: null,
    publicUrl: () => 'http://localhost',
  },
  replicas: ReplicaRegistry,
) {
  const users = createUsersService(deps)
  const messages = createMessagesService(deps)
  const typing = createTypingService(deps)
  const searchSamples = createSearchSamplesService(deps)
  const invites = createInvitesService(deps)
  const sessions = createSessionsService(deps, users, accounts)
  const members = createMembersService(deps)
  return {
    users,
    sessions,
    accountDeletion: createAccountDeletionService(deps, members, sessions),
    accountMessages: createAccountMessagesService(deps),
    dataExports: createDataExportsService(deps),
    channels: createChannelsService(deps),
    members,
    contacts: createContactsService(deps),
    blocks: createBlocksService(deps),
    activities: createActivitiesService(deps),
    bans: createBansService(deps),
    silences: createSilencesService(deps),
    reports: createReportsService(deps, messages),
    auditLog: createAuditLogService(deps),
    invites,
    shortLinks: createShortLinksService(deps, { invites, messages, publicUrl: outwards.publicUrl }),
    attachments: createAttachmentsService(deps),
    messages,
    messageExpiry: createMessageExpiryService(deps),
    scheduledMessages: createScheduledMessagesService(deps, messages),
    reminders: createRemindersService(deps, messages),
    feed: createFeedService(deps),
    history: createHistoryService(deps),
    reactions: createReactionsService(deps, messages),
    linkPreviews: createLinkPreviewsService(deps, messages),
    pins: createPinsService(deps, messages),
    threads: createThreadsService(deps, messages),
    readState: createReadStateService(deps),
    drafts: createDraftsService(deps),
    presence: createPresenceService(deps, openRegistry),
    search: createSearchService(deps, searchSamples),
    searchSamples,
    autocomplete: createAutocompleteService(deps),
    endpoint: createEndpointService({ replicas, ...outwards }),
    typing,
    activeChannels: createActiveChannelsService(deps, typing),
    devices: createDevicesService(deps, outwards),
    slowMode: createSlowModeService(deps),
    settings: createSettingsService(deps, outwards.askForVerification),
  }
}
