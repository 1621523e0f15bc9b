import { and, asc, eq, gt } from 'drizzle-orm'
import type { AnyPgColumn, AnyPgTable } from 'drizzle-orm/pg-core'
import type { Database } from '../../drizzle/connection.ts'
import {
  activities, blocks, contacts, devices, drafts, identities, reminders, reports, scheduledMessages, searchSamples, sessions, settings,
  users,
} from '../../drizzle/tables/index.ts'
import { channelGlobalId, messageGlobalId, userGlobalId } from '../lib/global-id.ts'
import { isOneOf } from '../lib/sql.ts'
import { snowflakeTime } from '../message-store/snowflake.ts'
import { wholeAccount } from './ended-sessions.ts'
import { channelLines, ownMessageFiles } from './data-exports-channels.ts'
import { readme } from './data-exports-readme.ts'

/** The form of what is exported. It grows with whatever would make a program that reads it stumble. */
export const exportVersion = 1

/** A file of text in an export. What is made line by line is never in memory as a whole. */
export type ExportedText = { path: string; text: string | AsyncIterable<string> }

type Runner = Pick<Database, 'run' | 'orm'>

/** People whose names one statement asks for. */
const namedAtOnce = 1_000

/** Drafts, and what others did, that one statement reads: some megabytes at the most. */
const draftsAtOnce = 20
const activitiesAtOnce = 2_000

const line = (value: unknown): string => `${JSON.stringify(value)}\n`
const json = (path: string, value: unknown): ExportedText => ({ path, text: `${JSON.stringify(value, null, 2)}\n` })

/**
 * What is somebody's own but for their files: one text after the other, each as it is when its turn comes. Ids are
 * those of the API. What others have said or set is not theirs, and is not in it; others appear by id and name.
 * Null where there is no such account.
 */
export async function* exportedTexts(database: Runner, userId: string): AsyncGenerator<ExportedText> {
  const { orm } = database
  const [user] = await orm.select().from(users).where(eq(users.id, userId))
  if (user === undefined) return
  const mine = <Table extends AnyPgTable & { userId: AnyPgColumn }>(table: Table) =>
    orm.select().from(table as AnyPgTable).where(eq(table.userId, userId)) as unknown as Promise<Table['$inferSelect'][]>

  const exportedAt = new Date().toISOString()
  yield { path: 'README.txt', text: readme({ username: user.username, exportedAt }) }
  yield json('export.json', { format: 'maru-export', version: exportVersion, exportedAt, userId: userGlobalId(userId) })
  yield json('profile.json', {
    id: userGlobalId(userId),
    username: user.username,
    displayName: user.displayName,
    avatarUrl: user.avatarUrl,
    bot: user.bot,
    moderator: user.moderator,
    createdAt: user.createdAt,
    presenceStatus: user.presenceStatus,
    presenceText: user.presenceText,
    lastActiveAt: user.lastActiveAt,
    identities: (await mine(identities)).map(({ issuer, subject }) => ({ issuer, subject })),
  })
  const [set] = await mine(settings)
  const { userId: _, ...said } = set ?? { userId }
  yield json('settings.json', said)
  const added = await mine(contacts)
  const blocked = await mine(blocks)
  yield json('contacts.json', await named(orm, added.map(({ contactId, addedAt }) => ({ userId: contactId, addedAt }))))
  yield json('blocks.json', await named(orm, blocked.map(({ blockedId, blockedAt }) => ({ userId: blockedId, blockedAt }))))
  // Whoever holds a token of a device can push to it: it is left out.
  yield json('devices.json', (await mine(devices)).map(({ platform, appId, sandbox, locale, createdAt }) => ({ platform, appId, sandbox, locale, createdAt })))
  yield json(
    'sessions.json',
    (await orm.select().from(sessions).where(eq(sessions.userId, userId)).orderBy(asc(sessions.expiresAt)))
      .filter(({ id }) => id !== wholeAccount(userId))
      .map(({ expiresAt, revokedAt, generation }) => ({ expiresAt, endedAt: revokedAt, renewals: generation })),
  )
  yield { path: 'drafts.jsonl', text: draftLines(orm, userId) }
  yield json('scheduled.json', (await mine(scheduledMessages)).map((row) => ({
    channelId: channelGlobalId(row.channelId),
    content: row.content,
    sendAt: row.sendAt,
    createdAt: row.createdAt,
    failure: row.failure,
  })))
  yield json('reminders.json', (await mine(reminders)).map((row) => ({
    messageId: row.channelId === null || row.messageId === null ? null : messageGlobalId(row.channelId, row.messageId),
    note: row.note,
    remindAt: row.remindAt,
    createdAt: row.createdAt,
    remindedAt: row.remindedAt,
  })))
  yield json('reports.json', (await orm.select().from(reports).where(eq(reports.reporterId, userId))).map((row) => ({
    reportedAt: snowflakeTime(row.id),
    userId: userGlobalId(row.subjectId),
    messageId: row.channelId === null || row.messageId === null ? null : messageGlobalId(row.channelId, row.messageId),
    reason: row.reason,
    status: row.status,
  })))
  yield { path: 'activity.jsonl', text: activityLines(orm, userId) }
  yield json('searches.json', (await mine(searchSamples)).map(({ day, term }) => ({ day, term })))
  yield { path: 'channels.jsonl', text: channelLines(database, userId) }
  yield* ownMessageFiles(database, userId)
}

/** Drafts, a few at a time: each may be as long as a message. */
async function* draftLines(orm: Database['orm'], userId: string): AsyncGenerator<string> {
  for (let after = '0'; ; ) {
    const rows = await orm
      .select()
      .from(drafts)
      .where(and(eq(drafts.userId, userId), gt(drafts.channelId, after)))
      .orderBy(asc(drafts.channelId))
      .limit(draftsAtOnce)
    for (const { channelId, content, savedAt } of rows) yield line({ channelId: channelGlobalId(channelId), content, savedAt })
    if (rows.length < draftsAtOnce) return
    after = rows.at(-1)!.channelId
  }
}

/**
 * What others did that is about somebody, and have not taken back, the oldest first. Not what they reacted with: that is
 * theirs. It may be millions: one row for each reaction of each person.
 */
async function* activityLines(orm: Database['orm'], userId: string): AsyncGenerator<string> {
  for (let after = -1; ; ) {
    const rows = await orm
      .select()
      .from(activities)
      .where(and(eq(activities.userId, userId), gt(activities.id, after)))
      .orderBy(asc(activities.id))
      .limit(activitiesAtOnce)
    for (const { kind, at, actorId, channelId, messageId, withdrawn } of rows) {
      if (withdrawn) continue
      yield line({
        kind,
        at,
        actorId: userGlobalId(actorId),
        channelId: channelGlobalId(channelId),
        messageId: messageId === '0' ? null : messageGlobalId(channelId, messageId),
      })
    }
    if (rows.length < activitiesAtOnce) return
    after = rows.at(-1)!.id
  }
}

/** People with their names beside their ids. */
async function named<Entry extends { userId: string }>(orm: Database['orm'], entries: readonly Entry[]) {
  const names = new Map<string, string>()
  for (let from = 0; from < entries.length; from += namedAtOnce) {
    const ids = entries.slice(from, from + namedAtOnce).map(({ userId }) => userId)
    const rows = await orm.select({ id: users.id, username: users.username }).from(users).where(isOneOf(users.id, ids))
    for (const { id, username } of rows) names.set(id, username)
  }
  return entries.map((entry) => ({ ...entry, userId: userGlobalId(entry.userId), username: names.get(entry.userId) ?? null }))
}
