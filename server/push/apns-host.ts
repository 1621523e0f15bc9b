import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2'
import { getCACertificates } from 'node:tls'
import type { Answer } from './outcomes.ts'

/** One of Apple's addresses. */
export type ApnsHost = {
  /** Resolves with any answer; rejects where there is none in time. Headers are complete but for method and host. */
  post(headers: Record<string, string>, body: string, timeoutMs: number): Promise<Answer>
  /** Ends what is under way at once. */
  close(): void
}

/** Requests at a time on a connection, whatever the peer allows: Apple allows 1,000, which is plenty. */
const maxStreams = 1_000

/**
 * Routers forget connections after minutes of silence; Apple keeps them for an hour and wants few pings. Milliseconds.
 */
const defaultPingMs = 60_000

/** How often a request goes out again that the peer has said it did not look at. */
const maxRefusals = 3

/** An answer is a reason and a date. Characters. */
const maxAnswerLength = 10_000

const { NGHTTP2_CANCEL, NGHTTP2_REFUSED_STREAM } = constants

type Job = {
  headers: Record<string, string>
  body: string
  refusals: number
  /** Ends its stream, or takes it out of the line. */
  cancel(): void
  resolve(answer: Answer): void
  reject(error: Error): void
}

type Link = {
  session: ClientHttp2Session
  /** Whether the peer has said how many requests it takes at a time. */
  isReady: boolean
  limit: number
  open: number
  /** When the peer was last heard, by `performance.now()`. */
  heardAt: number
  failure: Error | null
  /** Whether it has been asked for a sign of life, and has not given one yet. */
  isPinged: boolean
}

/**
 * Keeps one connection to `url` (https) open, from the first request on, and opens another when the peer says goodbye,
 * breaks off or no longer answers. Requests wait in line while as many are under way as the peer takes: with token
 * authentication Apple takes one until it has seen a good token, then many.
 */
export function createApnsHost(options: {
  url: string
  /** Trusted besides the system's, as PEM. */
  ca?: string | string[] | undefined
  /** By when a connection must be up, and a ping be answered. Milliseconds. */
  timeoutMs: number
  pingMs?: number | undefined
}): ApnsHost {
  const pingMs = options.pingMs ?? defaultPingMs
  const ca = options.ca === undefined ? {} : { ca: [...getCACertificates('default'), options.ca].flat() }
  /** The one that new requests take. Those before it may still be finishing theirs. */
  let current: Link | null = null
  const links = new Set<Link>()
  const waiting: Job[] = []
  const jobs = new Set<Job>()
  let isClosed = false

  function open(): Link {
    const session = connect(options.url, ca)
    const heardAt = performance.now()
    const link: Link = { session, isReady: false, limit: 0, open: 0, heardAt, failure: null, isPinged: false }
    links.add(link)
    const tooLate = setTimeout(() => session.destroy(new Error('TIMEOUT')), options.timeoutMs)
    session.on('remoteSettings', (settings) => {
      clearTimeout(tooLate)
      link.isReady = true
      link.limit = Math.min(settings.maxConcurrentStreams ?? maxStreams, maxStreams)
      hear(link)
      start()
    })
    // Node ends what is under way and closes; who waits in line goes elsewhere.
    session.on('goaway', () => {
      if (current === link) current = null
      start()
    })
    // A close follows.
    session.on('error', (error) => {
      link.failure = error
    })
    session.on('close', () => {
      clearTimeout(tooLate)
      links.delete(link)
      const isReplaced = current !== null && current !== link
      if (!isReplaced) current = null
      if (link.isReady || isReplaced) return start()
      // Nobody is there: who waits in line would only find that out one after the other.
      for (const job of waiting.splice(0)) job.reject(link.failure ?? new Error('FAILED'))
    })
    return link
  }

  function hear(link: Link): void {
    link.heardAt = performance.now()
  }

  /** Sends what is in line, as far as the peer takes it. */
  function start(): void {
    if (isClosed || waiting.length === 0) return
    if (current?.session.closed || current?.session.destroyed) current = null
    current ??= open()
    while (current?.isReady && current.open < current.limit && waiting.length > 0) exchange(current, waiting.shift()!)
  }

  function exchange(link: Link, job: Job): void {
    const sentAt = performance.now()
    let status = 0
    let headers: IncomingHttpHeaders = {}
    let body = ''
    let failure: Error | null = null
    let stream: ClientHttp2Stream
    try {
      stream = link.session.request({ ...job.headers, ':method': 'POST' })
    } catch (error) {
      // A header that cannot be sent, or a connection that is ending and has not said so.
      return job.reject(error as Error)
    }
    link.open++
    job.cancel = () => {
      stream.close(NGHTTP2_CANCEL)
      // Not a word to anybody in all this time: the peer is gone, and the others need not wait for it, too.
      if (link.heardAt < sentAt) link.session.destroy(new Error('TIMEOUT'))
    }
    stream.setEncoding('utf8')
    stream.on('response', (received) => {
      hear(link)
      headers = received
      status = received[':status'] ?? 0
    })
    stream.on('data', (part: string) => {
      hear(link)
      if (body.length < maxAnswerLength) body += part
    })
    stream.on('error', (error) => {
      failure = error
    })
    stream.on('close', () => {
      link.open--
      if (stream.rstCode === NGHTTP2_REFUSED_STREAM && ++job.refusals <= maxRefusals && jobs.has(job)) {
        // Said of requests that were not looked at (RFC 9113, 8.7), and of those after the last that a goodbye names.
        job.cancel = () => {}
        waiting.unshift(job)
      } else if (status > 0 && stream.readableEnded) {
        job.resolve({ status, retryAfter: headers['retry-after'] ?? null, body })
      } else {
        job.reject(link.failure ?? failure ?? new Error('FAILED'))
      }
      start()
    })
    stream.end(job.body)
  }

  function ping(link: Link): void {
    link.isPinged = true
    const tooLate = setTimeout(() => link.session.destroy(new Error('TIMEOUT')), options.timeoutMs)
    // Called with an error when the connection ends before.
    link.session.ping((error) => {
      clearTimeout(tooLate)
      link.isPinged = false
      if (error === null) hear(link)
    })
  }

  const pinging = setInterval(() => {
    for (const link of links) {
      const isSilent = link.isReady && performance.now() - link.heardAt >= pingMs
      if (isSilent && !link.isPinged && !link.session.destroyed) ping(link)
    }
  }, pingMs)
  pinging.unref()

  return {
    async post(headers, body, timeoutMs) {
      if (isClosed) throw new Error('CLOSED')
      const { promise, resolve, reject } = Promise.withResolvers<Answer>()
      const job: Job = { headers, body, refusals: 0, cancel() {}, resolve, reject }
      jobs.add(job)
      const deadline = setTimeout(() => {
        const place = waiting.indexOf(job)
        if (place >= 0) waiting.splice(place, 1)
        reject(new Error('TIMEOUT'))
        job.cancel()
      }, timeoutMs)
      try {
        waiting.push(job)
        start()
        return await promise
      } finally {
        clearTimeout(deadline)
        jobs.delete(job)
      }
    },
    close() {
      isClosed = true
      clearInterval(pinging)
      for (const job of jobs) job.reject(new Error('CLOSED'))
      waiting.length = 0
      for (const link of links) link.session.destroy()
    },
  }
}
