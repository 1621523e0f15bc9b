import type { Database } from '../../../drizzle/connection.ts'
import type { EventBus } from '../../event-bus/event-bus.ts'
import type { Change } from '../../message-store/changes.ts'
import type { AccountItem } from '../account-source.ts'
import type { Feeds } from '../feed.ts'
import type { Audiences } from '../live/audience.ts'
import type { Gathering } from '../live/gathering.ts'
import type { Returning } from '../returning/returning.ts'
import type { Source } from '../source.ts'
import type { PresenceHub } from './presence.ts'
import type { SignalHub } from './signals.ts'

/** What streams are opened with. */
export type StreamDeps = {
  database: Database
  bus: EventBus
  channels: { source: Source<Change>; feeds: Feeds<Change> } & Returning['channels']
  accounts: { source: Source<AccountItem>; feeds: Feeds<AccountItem> } & Returning['accounts']
  admission: Returning['admission']
  standings: Returning['standings']
  audiences: Audiences
  signals: SignalHub
  presence: PresenceHub
  gathering: Gathering
}
