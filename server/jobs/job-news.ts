import type { EventBus } from '../event-bus/event-bus.ts'
import { topics } from '../fanout/topics.ts'
import type { JobKind } from './jobs.ts'

/** What there is new to do: jobs of a kind, or what sends and reactions have left in an outbox. */
export type News = JobKind | 'outbox'

/** Many sends in one moment are one piece of news. Milliseconds. */
const gatherMs = 20

/**
 * Tells workers, wherever they run, that there is something to do. It is a hint, as all that the bus carries: workers
 * look by themselves, too.
 */
export function createJobNews(bus: EventBus) {
  const gathered = new Set<News>()
  let timer: NodeJS.Timeout | null = null

  function publish() {
    timer = null
    const payload = [...gathered].join(' ')
    gathered.clear()
    bus.publish(topics.jobs, payload)
  }

  return {
    tell(news: readonly News[]) {
      for (const each of news) gathered.add(each)
      if (gathered.size > 0) timer ??= setTimeout(publish, gatherMs)
    },
    /** Returns what ends it. */
    listen: (onNews: (news: News[]) => void) =>
      bus.subscribe(topics.jobs, (payload) => onNews(payload.split(' ') as News[])),
    close() {
      if (timer !== null) clearTimeout(timer)
    },
  }
}

export type JobNews = ReturnType<typeof createJobNews>
