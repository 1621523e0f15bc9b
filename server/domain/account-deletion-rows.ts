import { type AnyColumn, getTableName } from 'drizzle-orm'
import type { Database } from '../../drizzle/connection.ts'
import {
  accountChanges, accounts, activities, activityMarks, blocks, contacts, dataExports, drafts, feedEntries, pushDeliveries, reminders,
  scheduledMessages, searchSamples, settings,
} from '../../drizzle/tables/index.ts'
import type { JobAdder } from '../jobs/jobs.ts'
import { abandonAttachments } from './attachments-removal.ts'
import { type DataExportRow, removalOf } from './data-exports.ts'

/** Where rows are that are nobody's but a user's. Their streams come last, so that they hold nothing of the rest. */
export const ownColumns: readonly AnyColumn[] = [
  settings.userId, drafts.userId, scheduledMessages.userId, reminders.userId, contacts.userId, blocks.userId,
  pushDeliveries.userId, searchSamples.userId, feedEntries.userId, activities.userId, activityMarks.userId,
  accountChanges.userId, accounts.userId,
]

/** Attachments that one round looks at. */
const attachmentsAtOnce = 500

type Runner = Pick<Database, 'run' | 'transaction'>

/** Removes what the account alone has seen and set, and the files of its exports. One statement for each table. */
export async function dropOwnRows(database: Runner, jobs: JobAdder, userId: string): Promise<void> {
  await database.transaction(async (tx) => {
    const gone = await tx.run<Pick<DataExportRow, 'key' | 'status'>>(
      `/* own exports */ delete from ${getTableName(dataExports)} where user_id = $1 returning key, status`,
      [userId],
    )
    await jobs.add(tx, gone.flatMap(removalOf))
  })
  for (const { table, name } of ownColumns) {
    await database.run(`/* own rows */ delete from ${getTableName(table)} where ${name} = $1`, [userId])
  }
}

/** Takes somebody off everybody's lists of contacts. That others have blocked them says nothing to anybody, and stays. */
export async function dropFromOthers(database: Runner, userId: string): Promise<void> {
  await database.run('/* contacts of others */ delete from contacts where contact_id = $1', [userId])
}

/** Goes on refusing the accounts of other systems that stand for somebody who was deleted, until then. */
export async function holdIdentities(database: Runner, userId: string, until: Date): Promise<void> {
  await database.run(
    '/* hold identities */ update identities set held_until = $2 where user_id = $1 and held_until is null',
    [userId, until],
  )
}

/** Has what somebody has uploaded and sent nowhere removed; the files of their messages belong to these. */
export async function dropAttachments(database: Runner, jobs: JobAdder, userId: string): Promise<void> {
  for (let after = '0'; ; ) {
    const rows = await database.run<{ id: string }>(
      `/* loose attachments of a deleted account */ select id from attachments
       where user_id = $1 and id > $2 and claimed_at is null and claimed_key is null order by id limit ${attachmentsAtOnce}`,
      [userId, after],
    )
    if (rows.length > 0) {
      const attachmentIds = rows.map(({ id }) => id)
      await database.transaction((tx) => abandonAttachments(tx, jobs, [{ userId, attachmentIds }]))
    }
    if (rows.length < attachmentsAtOnce) return
    after = rows.at(-1)!.id
  }
}
