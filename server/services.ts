import { createActiveChannelsService } from './domain/active-channels.ts'
import { createAttachmentsService } from './domain/attachments.ts'
import { createBlocksService } from './domain/blocks.ts'
import { createChannelsService } from './domain/channels.ts'
import { createContactsService } from './domain/contacts.ts'
import { createDevicesService } from './domain/devices.ts'
import { createDraftsService } from './domain/drafts.ts'
import { createHistoryService } from './domain/history.ts'
import { createLinkPreviewsService } from './domain/link-previews.ts'
import { createMembersService } from './domain/members.ts'
import { createMessageExpiryService } from './domain/message-expiry.ts'
import { createMessagesService } from './domain/messages.ts'
import { createPinsService } from './domain/pins.ts'
import { createPresenceService } from './domain/presence.ts'
import { createReactionsService } from './domain/reactions.ts'
import { createReadStateService } from './domain/read-state.ts'
import { createRemindersService } from './domain/reminders.ts'
import { createScheduledMessagesService } from './domain/scheduled-messages.ts'
import type { Deps } from './domain/deps.ts'
import { createSearchService } from './domain/search.ts'
import { createSessionsService } from './domain/sessions.ts'
import { type AskForVerification, createSettingsService } from './domain/settings.ts'
import { createThreadsService } from './domain/threads.ts'
import { createTypingService } from './domain/typing.ts'
import { createUsersService } from './domain/users.ts'
import type { OpenPresenceRegistry } from './presence/registry.ts'
import type { AccessTokens } from './lib/access-tokens.ts'

export type Services = ReturnType<typeof createServices>

/** Every service, by noun. */
export function createServices(
  deps: Deps,
  accounts: { tokens: AccessTokens; refreshDays: number; external: boolean },
  openRegistry: OpenPresenceRegistry,
  /** What browsers subscribe to pushes with, and how a mailbox is asked whose it is; null where there is none. */
  outwards: { webPushKey: string | null; askForVerification: AskForVerification | null } = {
    webPushKey: null,
    askForVerification: null,
  },
) {
  const users = createUsersService(deps)
  const messages = createMessagesService(deps)
  const typing = createTypingService(deps)
  return {
    users,
    sessions: createSessionsService(deps, users, accounts),
    channels: createChannelsService(deps),
    members: createMembersService(deps),
    contacts: createContactsService(deps),
    blocks: createBlocksService(deps),
    attachments: createAttachmentsService(deps),
    messages,
    messageExpiry: createMessageExpiryService(deps),
    scheduledMessages: createScheduledMessagesService(deps, messages),
    reminders: createRemindersService(deps, messages),
    history: createHistoryService(deps),
    reactions: createReactionsService(deps, messages),
    linkPreviews: createLinkPreviewsService(deps, messages),
    pins: createPinsService(deps, messages),
    threads: createThreadsService(deps, messages),
    readState: createReadStateService(deps),
    drafts: createDraftsService(deps),
    presence: createPresenceService(deps, openRegistry),
    search: createSearchService(deps),
    typing,
    activeChannels: createActiveChannelsService(deps, typing),
    devices: createDevicesService(deps, outwards),
    settings: createSettingsService(deps, outwards.askForVerification),
  }
}
