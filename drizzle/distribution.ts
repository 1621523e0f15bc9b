import { type AnyColumn, getTableName } from 'drizzle-orm'
import type { Transaction } from './connection.ts'
import {
  accountChanges, accounts, activeChannels, activities, activityMarks, attachments, auditContents, auditLog, bans,
  blocks, buckets, channelBuckets, channels, contacts, credentials, dataExports, devices, directChannels, drafts,
  expirations, feedEntries, feedSpans, identities, imports, invites, inviteUses, linkCache, linkHosts, linkPreviews,
  members, mentions, messageChanges, messageLinks, messages, nameKeys, outbox, pushDeliveries, reactionOutbox, reactions,
  reminders, replies, reports, scheduledMessages, searchSamples, sendKeys, sessions, settings, shortLinks, shortLinkVisits,
  suggestionNodes, suggestionTrees, threads, usernames, users, workerLeases,
} from './tables/index.ts'

type Runner = Pick<Transaction, 'run'>

/**
 * Where rows lie once the store is spread over several machines (Citus): all rows with one value of these columns are on
 * the same machine. Tables of one list lie together, so that what is said about one channel, or one person, needs
 * nothing but the machine that it is on.
 */
export const groups: readonly (readonly AnyColumn[])[] = [
  [
    channels.id, members.channelId, messages.channelId, channelBuckets.channelId, messageChanges.channelId,
    sendKeys.channelId, mentions.channelId, reactions.channelId, replies.channelId, threads.channelId,
    outbox.channelId, reactionOutbox.channelId, expirations.channelId, linkPreviews.channelId, feedSpans.channelId,
    bans.channelId, invites.channelId, inviteUses.channelId, messageLinks.channelId,
  ],
  [
    users.id, accounts.userId, accountChanges.userId, activities.userId, activityMarks.userId, credentials.userId,
    sessions.userId, drafts.userId, directChannels.lowUserId, contacts.userId, blocks.userId, attachments.userId,
    devices.userId, activeChannels.userId, pushDeliveries.userId, settings.userId, feedEntries.userId,
    scheduledMessages.userId, reminders.userId, dataExports.userId, searchSamples.userId,
  ],
  [usernames.key],
  [identities.subject],
  [linkCache.urlHash],
  [linkHosts.host],
  [nameKeys.lead, suggestionNodes.lead],
  [shortLinks.code, shortLinkVisits.code],
]

/**
 * Tables that stay on the coordinator, whole: they are small. Processes ask for them as they start, and those who keep
 * order; what is locked on them must be locked in one place, and only here does a trigger keep the audit log as it is.
 */
export const undistributed = [workerLeases, imports, buckets, reports, auditLog, auditContents, suggestionTrees]

/** Whether Citus is set up in this database. */
async function hasCitus({ run }: Runner): Promise<boolean> {
  const found = await run(`select from pg_extension where extname = 'citus'`, [])
  return found.length > 0
}

/** Whether the tables of this schema have been distributed. */
export async function isDistributed(tx: Runner): Promise<boolean> {
  return (await hasCitus(tx)) && (await tablesLeft(tx)).length < groups.flat().length
}

/** Why the tables of this database cannot be distributed, and what to do about it; null where they can. */
export async function whyNotDistribute(tx: Runner): Promise<string | null> {
  if (!(await hasCitus(tx))) {
    const [row] = await tx.run<{ version: string | null }>(`select current_setting('citus.version', true) as version`, [])
    return row!.version === null
      ? 'This Postgres runs without Citus. Install it on every machine, put citus into shared_preload_libraries, and start it anew.'
      : 'Citus is there, but not in this database. As a superuser, on every machine: create extension citus'
  }
  const [node] = await tx.run<{ group: number; places: number }>(
    `select (select groupid from pg_dist_local_group) as group,
            (select count(*)::int from pg_dist_node where shouldhaveshards and isactive) as places`,
    [],
  )
  if (node!.group !== 0) return 'This is a worker of the cluster. Name its coordinator in DATABASE_URL.'
  return node!.places > 0
    ? null
    : `The cluster has no machine to put anything on. As a superuser, for each: select citus_add_node('its address', 5432)`
}

/**
 * Distributes what is not yet, within a transaction: tables, with what is in them, and functions. Takes the schema to
 * be up to date. Tables are gone on using as before, but nobody else can until it is done. `onTable` is told of each
 * table as its turn comes.
 */
export async function distributeAll(tx: Runner, functions: readonly string[], onTable: (name: string) => void = () => {}) {
  const left = new Set(await tablesLeft(tx))
  for (const [first, ...others] of groups as readonly (readonly [AnyColumn, ...AnyColumn[]])[]) {
    for (const column of [first, ...others]) {
      const name = getTableName(column.table)
      if (!left.has(name)) continue
      onTable(name)
      await distributeTable(tx, name, column.name, column === first ? 'none' : getTableName(first.table))
    }
  }
  await distributeFunctions(tx, functions)
}

/** Those of the tables that are not distributed yet. */
async function tablesLeft({ run }: Runner): Promise<string[]> {
  const rows = await run<{ name: string }>(
    `select name from unnest($1::text[]) as wanted (name)
     where not exists (select from pg_dist_partition where logicalrelid = to_regclass(quote_ident(name)))`,
    [groups.flat().map((column) => getTableName(column.table))],
  )
  return rows.map((row) => row.name)
}

/**
 * Partitions are taken off meanwhile and put back, which distributes them one by one: with their table Citus would
 * forget how closely the planner is to look at their columns.
 */
async function distributeTable({ run }: Runner, name: string, column: string, beside: string) {
  const partitions = await run<{ name: string; bounds: string }>(
    `select c.oid::regclass::text as name, pg_get_expr(c.relpartbound, c.oid) as bounds
     from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = $1::regclass order by c.relname`,
    [name],
  )
  for (const partition of partitions) await run(`alter table ${name} detach partition ${partition.name}`, [])
  await run('select create_distributed_table($1::regclass, $2, colocate_with := $3)', [name, column, beside])
  for (const partition of partitions) {
    await run(`alter table ${name} attach partition ${partition.name} ${partition.bounds}`, [])
  }
  // What has been moved is still here, too, where nothing finds it.
  for (const table of [name, ...partitions.map((partition) => partition.name)]) {
    await run('select truncate_local_data_after_distributing_table($1::regclass)', [table])
  }
}

/**
 * Citus puts every function on every machine by itself. One that begins with a channel is handed to the machine which
 * that channel is on.
 */
async function distributeFunctions({ run }: Runner, names: readonly string[]) {
  const left = await run<{ name: string }>(
    `select p.oid::regprocedure::text as name from pg_proc p
     where p.pronamespace = current_schema()::regnamespace and p.proname = any ($1::text[])
       and p.proargnames[1] = 'in_channel_id' and not exists (
         select from pg_catalog.pg_dist_object o
         where o.classid = 'pg_proc'::regclass and o.objid = p.oid and o.distribution_argument_index is not null
       )`,
    [names],
  )
  for (const { name } of left) {
    await run(`select create_distributed_function($1::regprocedure, '$1', colocate_with := 'channels')`, [name])
  }
}
