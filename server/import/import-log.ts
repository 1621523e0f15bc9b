import type { Database } from '../../drizzle/connection.ts'
import { createSnowflakes, snowflakeTime } from '../message-store/snowflake.ts'
import { leaseWorker } from '../message-store/worker-lease.ts'
import type { Entry, Fault } from './entry.ts'
import type { FormatName } from './formats.ts'
import { loadChannel } from './load-channel.ts'
import { type Author, ensurePeople } from './people.ts'
import { findPlaces } from './places.ts'
import { type ChannelPlan, planChannel } from './plan.ts'
import type { Log } from './read-log.ts'

export type ImportOptions = {
  /** What the log is known by, here and the next time. */
  source: string
  /** Messages in one transaction, at the most. */
  batchSize: number
  signal: AbortSignal
  progress: Progress
}

/** Told of each stage as it begins, and of the messages as they are written. */
export type Progress = {
  stage(what: string): void
  /** `done` of `total` messages were in before this run. */
  start(total: number, done: number): void
  advance(messages: number): void
  /** Whatever becomes of the import, this comes last. */
  stop(): void
}

/** What a run has done. */
export type Summary = {
  format: FormatName
  /** In the log, and in the store now. */
  messages: number
  channels: number
  /** Written by this run; the others were in before. */
  written: { messages: number; people: number; replies: number; mentions: number; actions: number; blank: number }
  /** Messages in the place of what they answer, which their own time is before. */
  late: number
  faults: Fault[]
}

/**
 * Imports a log, or what is missing of it, but for its lines with faults. Throws an ImportError where that cannot be,
 * in words for whoever started it.
 */
export async function importLog(database: Database, log: Log, options: ImportOptions): Promise<Summary> {
  const { source, signal, progress } = options
  const plans = [...log.channels].map(([channel, entries]) => planChannel(channel, entries))
  const planned = plans.flatMap((plan) => plan.messages)
  const summary: Summary = {
    format: log.format,
    messages: planned.length,
    channels: plans.length,
    written: { messages: 0, people: 0, replies: 0, mentions: 0, actions: 0, blank: 0 },
    late: planned.filter(({ entry, id }) => entry.at < +snowflakeTime(id)).length,
    faults: log.faults,
  }
  signal.throwIfAborted()
  const places = await findPlaces(database, source, plans)

  const lease = await leaseWorker(database, () => {})
  try {
    const snowflakes = createSnowflakes(lease.worker)
    progress.stage('Looking for its people')
    const people = await ensurePeople(database, snowflakes, source, authorsOf(plans))
    summary.written.people = people.created
    const done = [...places.values()].reduce((sum, place) => sum + place.done, 0)
    progress.start(planned.length, done)
    for (const plan of plans) {
      await loadChannel(
        {
          database,
          snowflakes,
          source,
          people,
          batchSize: options.batchSize,
          signal,
          onMessages(messages, mentions) {
            count(summary.written, messages.map((message) => message.entry), mentions)
            progress.advance(messages.length)
          },
        },
        plan,
        places.get(plan.channel)!,
      )
    }
    if (summary.written.messages > 0) await refreshStatistics(database)
  } finally {
    await lease.release().catch(() => {})
  }
  return summary
}

/**
 * Lets the planner know how large the tables have become. It finds out by itself in a minute or so, and until then
 * plans for the tables as they were; so what goes wrong here is no reason to fail.
 */
async function refreshStatistics(database: Database) {
  for (const table of ['messages', 'members', 'mentions', 'threads', 'users', 'usernames', 'identities']) {
    await database.run(`analyze ${table}`, []).catch(() => {})
  }
}

/** Everybody who speaks, each from their first message on. */
function authorsOf(plans: readonly ChannelPlan[]): Author[] {
  const first = new Map<string, Date>()
  for (const { messages } of plans) {
    for (const { entry, id } of messages) {
      const at = snowflakeTime(id)
      const known = first.get(entry.author)
      if (known === undefined || at < known) first.set(entry.author, at)
    }
  }
  return [...first].map(([name, since]) => ({ name, since }))
}

function count(written: Summary['written'], entries: readonly Entry[], mentions: number) {
  written.messages += entries.length
  written.mentions += mentions
  written.replies += entries.filter((entry) => entry.replyTo !== null).length
  written.actions += entries.filter((entry) => entry.action).length
  written.blank += entries.filter((entry) => entry.text === '').length
}
