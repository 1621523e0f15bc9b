import { parseArgs } from 'node:util'
import type { Database } from '../../drizzle/connection.ts'
import { auditedChannels, noChannel, type Verified, verifyChannel } from '../../server/domain/audit-log.ts'
import { channelGlobalId, parseGlobalId } from '../../server/lib/global-id.ts'
import { UsageError } from '../../server/lib/usage-error.ts'
import { runCommand, table } from './run.ts'

export const help = `Tells whether the audit log is as it was written.

  npm run audit-log -- verify   computes the hash of each entry anew, channel by channel

  --channel ID   only of this channel
  --json         for programs: one JSON object a line

Each hash is over the entry and the one before it, so that whoever changes one entry has to change all that come after.
Keep what it says somewhere else: a number of entries that has become smaller, or another hash of the same number, tells
that entries were cut off or written anew. It exits with 1 where something is wrong. It looks into the deployment that
DATABASE_URL names, or that runs on DATA_DIR.
`

const nameOf = (channelId: string) => (channelId === noChannel ? 'deployment' : channelGlobalId(channelId))

/** Runs the command and returns what it says. */
export async function auditLogCommand(args: string[], open: () => Promise<Database>): Promise<string> {
  const { values, positionals } = parse(args)
  const [verb, ...more] = positionals
  if (verb !== 'verify' || more.length > 0) {
    throw new UsageError(`There is no command ${positionals.join(' ')}. npm run audit-log -- --help`)
  }
  const wanted = values.channel === undefined ? null : parseGlobalId(values.channel)
  if (values.channel !== undefined && wanted?.type !== 'Channel') {
    throw new UsageError(`${values.channel} is not the id of a channel.`)
  }
  const database = await open()
  const channelIds = wanted?.type === 'Channel' ? [wanted.channelId] : await auditedChannels(database)
  const verified: Verified[] = []
  for (const channelId of channelIds) verified.push(await verifyChannel(database, channelId))
  if (verified.some(({ brokenAt }) => brokenAt !== null)) process.exitCode = 1
  if (values.json) {
    return verified.map((each) => `${JSON.stringify({ ...each, channelId: nameOf(each.channelId) })}\n`).join('')
  }
  if (verified.length === 0) return 'Nothing was noted yet.'
  return table(
    ['channel', 'entries', 'state', 'hash'],
    verified.map(({ channelId, entries, brokenAt, hash }) => [
      nameOf(channelId),
      String(entries),
      brokenAt === null ? 'as written' : `NOT AS WRITTEN from number ${brokenAt} on`,
      hash,
    ]),
  )
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: { channel: { type: 'string' }, json: { type: 'boolean', default: false } },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

if (import.meta.main) await runCommand(help, auditLogCommand)
