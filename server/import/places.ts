import type { Database } from '../../drizzle/connection.ts'
import { snowflakeTime } from '../message-store/snowflake.ts'
import { ImportError } from './entry.ts'
import { type ChannelPlan, createDigest } from './plan.ts'

/** Where in the store a channel of the log goes. */
export type Place = {
  /** Null for a channel that is to be made. */
  channelId: string | null
  /** How many of its messages are in already. */
  done: number
}

type Known = { channel_key: string; channel_id: string; messages: number; digest: Uint8Array; last_id: string }
type Named = { id: string; name: string; last_id: string }

/** Reasons that are told one by one; the others are as good as these. */
const maxReasons = 20

/**
 * Finds where each channel of a log goes: where an earlier run of the same source has put its beginning, or into the
 * public channel of its name, or into a new one. Throws an ImportError that names every channel which cannot be gone on
 * with. Looks only; whatever changes afterwards is found when the messages are written.
 */
export async function findPlaces(
  database: Database,
  source: string,
  plans: readonly ChannelPlan[],
): Promise<Map<string, Place>> {
  const names = plans.map((plan) => plan.channel)
  const own = 'from imports where source = $1 and channel_key = any ($2::text[])'
  const begun = await database.run<{ channel_id: string }>(`select channel_id ${own}`, [source, names])
  const heads = await database.run<{ id: string; last_id: string }>(
    'select id, last_id from channels where id = any ($1::bigint[])',
    [begun.map((row) => row.channel_id)],
  )
  const lastIds = new Map(heads.map((row) => [row.id, row.last_id]))
  // After the heads: what another run writes meanwhile is counted here, and does not look like somebody else's.
  const imported = await database.run<Omit<Known, 'last_id'>>(
    `select channel_key, channel_id, messages, digest ${own}`,
    [source, names],
  )
  const named = await database.run<Named>(
    `select c.id, c.name, c.last_id from unnest($1::text[]) as wanted (name)
     join channels c on c.kind = 'PUBLIC' and lower(c.name) = lower(wanted.name) and c.name = wanted.name`,
    [names],
  )
  const knownByName = new Map(
    imported.map((row): [string, Known] => [row.channel_key, { ...row, last_id: lastIds.get(row.channel_id) ?? '0' }]),
  )
  const namedByName = Map.groupBy(named, (row) => row.name)

  const reasons: string[] = []
  const places = new Map<string, Place>()
  for (const plan of plans) {
    const found = knownByName.get(plan.channel)
    const namesakes = namedByName.get(plan.channel) ?? []
    const reason = found === undefined ? refuseNamesakes(plan, namesakes) : refuseKnown(plan, found, source)
    if (reason !== null) reasons.push(`${plan.channel}: ${reason}`)
    places.set(plan.channel, {
      channelId: found?.channel_id ?? namesakes[0]?.id ?? null,
      done: found?.messages ?? 0,
    })
  }
  if (reasons.length > 0) throw new ImportError(describe(reasons))
  return places
}

function refuseKnown(plan: ChannelPlan, known: Known, source: string): string | null {
  const same =
    plan.messages.length >= known.messages &&
    Buffer.compare(createDigest(plan).at(known.messages), known.digest) === 0
  if (!same) {
    return (
      `its first ${known.messages.toLocaleString('en')} messages are not those that were imported as "${source}". ` +
      'Give a log that goes on where that one ended, or name another one with --source.'
    )
  }
  return refuseNewer(plan, known.messages, known.last_id)
}

function refuseNamesakes(plan: ChannelPlan, namesakes: readonly Named[]): string | null {
  if (namesakes.length > 1) {
    return `there are ${namesakes.length} public channels of this name. Rename all but one of them.`
  }
  return namesakes.length === 0 ? null : refuseNewer(plan, 0, namesakes[0]!.last_id)
}

/** Says why a plan cannot go on after its first `done` messages in a channel whose newest message is `lastId`. */
export function refuseNewer(plan: ChannelPlan, done: number, lastId: string): string | null {
  const next = plan.messages[done]
  if (next === undefined || BigInt(next.id) > BigInt(lastId)) return null
  const [newest, first] = [lastId, next.id].map((id) => snowflakeTime(id).toISOString())
  return (
    `the channel holds a message of ${newest}, and what is to come begins at ${first} (line ${next.entry.line}). ` +
    'Nothing is put between messages that people have seen: import into a channel of another name.'
  )
}

function describe(reasons: readonly string[]): string {
  const more = reasons.length > maxReasons ? [`… and ${reasons.length - maxReasons} channels more.`] : []
  return ['Nothing was imported.', ...reasons.slice(0, maxReasons), ...more].join('\n')
}
