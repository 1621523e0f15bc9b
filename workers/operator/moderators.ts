import { parseArgs } from 'node:util'
import type { Database } from '../../drizzle/connection.ts'
import { writeAudit } from '../../server/domain/audit-log.ts'
import { findableKey } from '../../server/lib/text.ts'
import { UsageError } from '../../server/lib/usage-error.ts'
import { runCommand, table } from './run.ts'

export const help = `Says who keeps order in the whole deployment: who sees what was reported, wherever that was, and the audit log.

  npm run moderators -- list                their names
  npm run moderators -- add USERNAME        makes somebody one of them
  npm run moderators -- remove USERNAME     takes that back

It counts at once, and stands in the audit log. It looks into the deployment that DATABASE_URL names, or that runs on
DATA_DIR.
`

async function list({ run }: Database): Promise<string> {
  const rows = await run<{ username: string; display_name: string }>(
    'select username, display_name from users where moderator and deleted_at is null order by username',
    [],
  )
  return rows.length === 0
    ? 'There is none.'
    : table(['username', 'name'], rows.map((row) => [row.username, row.display_name]))
}

/** Makes somebody a moderator, or takes that back; what is so already is neither done nor noted again. */
async function set(database: Database, username: string, moderator: boolean): Promise<string> {
  const changed = await database.transaction(async (tx) => {
    const key = findableKey(username)
    const [name] = await tx.run<{ user_id: string }>('select user_id from usernames where key = $1', [key])
    const [user] = await tx.run<{ moderator: boolean }>(
      'select moderator from users where id = $1 and deleted_at is null for update',
      [name?.user_id ?? null],
    )
    if (name === undefined || user === undefined) throw new UsageError(`There is nobody called ${username}.`)
    if (user.moderator === moderator) return false
    await tx.run('update users set moderator = $2 where id = $1', [name.user_id, moderator])
    const action = moderator ? 'MODERATOR_ADDED' : 'MODERATOR_REMOVED'
    await writeAudit(tx, { channelId: null, actorId: null, action, subjectId: name.user_id })
    return true
  })
  if (!changed) return moderator ? `${username} is one already.` : `${username} is none.`
  return moderator ? `${username} keeps order from now on.` : `${username} keeps order no more.`
}

/** Runs the command and returns what it says. */
export async function moderatorsCommand(args: string[], open: () => Promise<Database>): Promise<string> {
  const [verb, username, ...more] = parse(args)
  if (more.length > 0 || (verb === 'list' && username !== undefined)) {
    throw new UsageError('One thing at a time. npm run moderators -- --help')
  }
  if (verb === 'list') return list(await open())
  if (verb !== 'add' && verb !== 'remove') {
    throw new UsageError(`There is no command ${verb ?? ''}. npm run moderators -- --help`)
  }
  if (username === undefined) throw new UsageError(`Whom? npm run moderators -- ${verb} USERNAME`)
  return set(await open(), username, verb === 'add')
}

function parse(args: string[]): string[] {
  try {
    return parseArgs({ args, allowPositionals: true }).positionals
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

if (import.meta.main) await runCommand(help, moderatorsCommand)
