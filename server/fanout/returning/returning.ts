import type { Database } from '../../../drizzle/connection.ts'
import type { Change } from '../../message-store/changes.ts'
import type { MessageStore } from '../../message-store/message-store.ts'
import type { AccountItem } from '../account-source.ts'
import { type Admission, createAdmission, readsAtOnce } from './admission.ts'
import { createSharedWalks, type SharedWalks } from './shared-catch-up.ts'
import type { Item, Source } from '../source.ts'
import { createStandings, type Standings } from './standings.ts'
import { createTogether } from './together.ts'
import { createOwnWalks, type Walks } from './walk.ts'

/** Heads in one query of those who come back: 10,000 take 11 ms, and nobody waits long for the others'. */
const headsAtOnce = 1_000

/** What those who come back to one kind of stream ask for together. */
export type Together<T extends Item> = {
  walks: Walks<T>
  /** As the source's, for who opens a stream. What is live asks the source itself, as it must not wait for its turn. */
  heads: Source<T>['heads']
}

/**
 * What streams ask of the store as they open and as they catch up: the same thing once for all who ask for it at the
 * same moment, and a bounded number of reads at a time, however many come back at once.
 */
export type Returning = {
  admission: Admission
  standings: Standings
  channels: Together<Change> & { walks: SharedWalks }
  accounts: Together<AccountItem>
  close(): void
}

/** `poolSize` is the number of connections that `database` has, of which those who come back get a part. */
export function createReturning(options: {
  database: Pick<Database, 'run'>
  store: Pick<MessageStore, 'changesSince'>
  channels: Source<Change>
  accounts: Source<AccountItem>
  poolSize: number
  /** Called with how many reads wait for their turn, whenever that changes. */
  onWaiting?: (count: number) => void
  /** Called for each read that gets its turn, with how long it has waited. */
  onAdmitted?: (milliseconds: number) => void
}): Returning {
  const { database, store, channels, accounts, poolSize, ...hooks } = options
  const admission = createAdmission({ atOnce: readsAtOnce(poolSize), ...hooks })
  const standings = createStandings(database, admission)
  const walks = createSharedWalks({ store, admission, standings })
  return {
    admission,
    standings,
    channels: { walks, heads: headsTogether(channels, admission) },
    accounts: { walks: createOwnWalks(accounts, admission), heads: headsTogether(accounts, admission) },
    close: walks.close,
  }
}

function headsTogether<T extends Item>(source: Source<T>, admission: Admission): Source<T>['heads'] {
  const find = createTogether({
    admission,
    most: headsAtOnce,
    async read(_, ids: readonly string[]) {
      const heads = new Map((await source.heads([...new Set(ids)])).map((head) => [head.id, head]))
      return ids.map((id) => heads.get(id))
    },
  })
  return async (ids) => {
    const heads = await Promise.all(ids.map((id) => find('heads', id, id)))
    return heads.filter((head) => head !== undefined)
  }
}
