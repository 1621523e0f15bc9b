import { join } from 'node:path'
import type { Database } from '../drizzle/connection.ts'
import type { Config } from '../server/config.ts'
import type { Core } from '../server/core.ts'
import type { JobHandlers } from '../server/jobs/jobs.ts'
import { dropStaleActiveChannels } from '../server/domain/active-channels.ts'
import { dropDevicesOfEndedSessions } from '../server/domain/devices.ts'
import { sweepFeeds } from '../server/domain/feed-writing.ts'
import { createOutbound } from '../server/lib/outbound.ts'
import type { Log } from '../server/observability/log.ts'
import type { Metrics } from '../server/observability/metrics.ts'
import { startFeedWriter } from './feed.ts'
import { createActivityJob } from './activities.ts'
import { createAccountDeletionJobs } from './account-deletion.ts'
import { createDataExportJob } from './data-exports.ts'
import { createFilesRemoveJob } from './files-remove.ts'
import { createLinkPreviewJob } from './link-previews/link-preview-job.ts'
import { sweepLinkCache } from './link-previews/link-cache.ts'
import { createMail } from './mail/mail.ts'
import { createMediaJob } from './media/media-job.ts'
import { createMediaProcessor } from './media/media.ts'
import { createMessageExpiry, messageExpiryMs } from './message-expiry.ts'
import { relayOutbox, relayReactions } from './outbox.ts'
import { openPushSender } from './push/open-sender.ts'
import { createPush } from './push/push.ts'
import { sweepPushes } from './push/sweep.ts'
import { startRelay } from './relay.ts'
import { createReminderJob } from './reminders.ts'
import { createScheduledMessageJobs } from './scheduled-messages.ts'
import { keepSuggestions, suggestionsMs } from './suggestions.ts'
import { startUpkeep } from './upkeep.ts'

export type Workers = {
  /** Lets what is under way end, for a while; whatever is left another worker does anew. */
  stop(): Promise<void>
}

export type WorkerOptions = {
  core: Core
  /** Whose statements may take long. */
  maintenance: Database
  config: Config
  log: Log
  metrics: Metrics
  /** Certificates that Apple's and browsers' services may have besides the well-known ones, as PEM; for tests. */
  trusted?: string[]
}

/**
 * How long reactions are gathered, in milliseconds: whoever is reacted to by hundreds hears of it five times a second, and
 * whoever is reacted to by one at once.
 */
const reactionRestMs = 200

/** How often jobs are counted, in milliseconds: as often as metrics are asked for. */
const countMs = 15_000

/** How often it is looked for what somebody who has died has left behind, in milliseconds. */
const minuteMs = 60_000

/** How often it is looked for what is kept no longer, in milliseconds. */
const sweepMs = 10 * 60_000

/** How often it is looked through what is gone as a rule already, in milliseconds. */
const rareMs = 3_600_000

/** How often entries of feeds are removed, in milliseconds: it looks at each person, and they are kept for days. */
const feedSweepMs = 6 * 3_600_000

/** Starts the work that nobody waits for. Any number of processes may run it. Throws a StartError where a setting is wrong. */
export async function startWorkers({ core, maintenance, config, log, metrics, trusted = [] }: WorkerOptions): Promise<Workers> {
  const { database, services, jobs, jobNews, files, messages } = core
  const onError = (error: unknown) => log.warn({ err: error }, 'will be tried again')
  const userAgent = `MaruBot/1.0 (+${core.publicUrl()})`
  const outbound = createOutbound({ allowed: config.outboundAllow, userAgent, ca: trusted })
  const sender = openPushSender({ config: config.push, vapid: core.vapid, publicUrl: core.publicUrl(), outbound, trusted })
  const tempDir = join(config.dataDir, 'tmp')
  const processor = createMediaProcessor({ tempDir })
  const mail = createMail({ core, config, secret: core.secret, log })
  const stopping = new AbortController()
  const expiry = createMessageExpiry({
    database: maintenance,
    service: services.messageExpiry,
    onError,
    signal: stopping.signal,
  })

  const push = createPush({ core, sender, metrics, log, perMinute: config.push.perMinute, mailTimes: mail.dueTimes })
  const handlers: JobHandlers = {
    ...push.handlers,
    media: createMediaJob({ attachments: services.attachments, files, processor, tempDir, log }),
    'files-remove': createFilesRemoveJob({ attachments: services.attachments, files }),
    // An edit asks for it, whatever the setting.
    'link-preview': !config.linkPreviews ? async () => {} : createLinkPreviewJob({
      database,
      store: messages,
      linkPreviews: services.linkPreviews,
      writeFile: files.write,
      outbound,
      makePicture: processor.makePicture,
      putOff: (data, ms) =>
        database.transaction((tx) =>
          jobs.add(tx, [{ kind: 'link-preview', data, startAfter: new Date(Date.now() + ms) }]),
        ),
    }),
    ...createScheduledMessageJobs(services.scheduledMessages),
    reminder: createReminderJob(services.reminders),
    activity: createActivityJob(services.activities),
    'data-export': createDataExportJob({ dataExports: services.dataExports, database: maintenance, files, tempDir, log }),
    ...createAccountDeletionJobs(services, maintenance),
    'email-digest': mail.digest,
    'email-verification': mail.verification,
  }

  await jobs.work(handlers)
  const { feedMembers } = config.limits
  const feeds = startFeedWriter({ database, writtenMembers: feedMembers, onError })
  const relaying = { links: config.linkPreviews, feedMembers, writeFeeds: feeds.add, signal: stopping.signal, onError }
  const relay = startRelay(() => relayOutbox(database, jobs, relaying), onError)
  const reactionRelay = startRelay(() => relayReactions(database, jobs, relaying), onError, reactionRestMs)
  const unlisten = await jobNews.listen((news) => {
    if (news.includes('outbox')) {
      relay.wake()
      reactionRelay.wake()
    }
    jobs.wake(news.filter((each) => each !== 'outbox'))
  })
  let counted = { ready: 0, laidAside: 0 }
  metrics.watch({ jobsReady: () => counted.ready, jobsLaidAside: () => counted.laidAside })
  async function count() {
    counted = await jobs.operator.estimate()
  }

  const suggestions = { database: maintenance, isBlocked: core.finding.isBlockedTerm, log, signal: stopping.signal }
  const upkeep = startUpkeep({
    database: maintenance,
    log,
    settings: config.maintenance,
    onAttachments: services.attachments.abandon,
    others: [
      { everyMs: countMs, work: count },
      { everyMs: minuteMs, work: push.revive },
      { everyMs: messageExpiryMs, work: expiry.run },
      { everyMs: sweepMs, work: () => sweepPushes(maintenance, config.push.logDays) },
      { everyMs: sweepMs, work: () => dropStaleActiveChannels(maintenance) },
      { everyMs: rareMs, work: () => dropDevicesOfEndedSessions(maintenance) },
      { everyMs: sweepMs, work: () => services.attachments.sweep() },
      { everyMs: sweepMs, work: () => services.scheduledMessages.sweep() },
      { everyMs: sweepMs, work: () => services.reminders.sweep() },
      { everyMs: sweepMs, work: () => services.dataExports.sweep(maintenance) },
      { everyMs: rareMs, work: () => services.accountDeletion.sweep(maintenance) },
      { everyMs: rareMs, work: () => services.activities.sweep(maintenance) },
      { everyMs: feedSweepMs, work: () => sweepFeeds(maintenance, stopping.signal) },
      { everyMs: sweepMs, work: () => services.reports.sweep() },
      { everyMs: sweepMs, work: () => services.bans.sweep() },
      { everyMs: sweepMs, work: () => sweepLinkCache(maintenance, files.remove) },
      { everyMs: suggestionsMs, work: () => keepSuggestions(suggestions) },
    ],
  })

  return {
    async stop() {
      unlisten()
      stopping.abort()
      await Promise.all([upkeep.stop(), feeds.stop(), relay.stop(), reactionRelay.stop(), jobs.close()])
      await Promise.all([processor.close(), sender.close(), mail.close()])
      await outbound.close()
    },
  }
}
