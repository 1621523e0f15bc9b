import { eq } from 'drizzle-orm'
import { channels } from '../../drizzle/tables/index.ts'
import { badInput, notFound } from '../errors.ts'
import type { Anchor, MessageKey, Span } from '../message-store/pages.ts'
import type { PageReader } from '../message-store/replica-reads.ts'
import type { ChannelRow, MessageRow } from '../message-store/rows.ts'
import { snowflakeAt, snowflakeEpoch } from '../message-store/snowflake.ts'
import type { Deps } from './deps.ts'

/** Messages on a page unless asked otherwise, and at the most. */
export const defaultPageSize = 50
export const maxPageSize = 100

/** The last moment that a Snowflake can name, in 2069. */
const maxMoment = snowflakeEpoch + 2 ** 41 - 1

/** Which page of a channel: forwards, backwards, or a window around a place. Seqs bound it exclusively. */
export type PageRequest = {
  first?: number | null
  afterSeq?: number | null
  last?: number | null
  beforeSeq?: number | null
  around?: MessageKey | null
  aroundSeq?: number | null
  aroundDate?: Date | null
}

export type Page = { messages: MessageRow[]; hasPreviousPage: boolean; hasNextPage: boolean }

export type HistoryService = ReturnType<typeof createHistoryService>

/** Pages of what was said. Permission is the caller's affair. */
export function createHistoryService({ database, store }: Deps) {
  /** The seq that a window lies around; null where none was asked for. */
  async function findCentre(channel: ChannelRow, request: PageRequest): Promise<number | null> {
    if (request.around != null) {
      const message = request.around.channelId === channel.id ? await store.message(request.around) : null
      if (message === null) throw notFound('message', 'around')
      return message.seq
    }
    if (request.aroundSeq != null) return Math.min(Math.max(request.aroundSeq, channel.firstSeq), channel.lastSeq)
    if (request.aroundDate != null) {
      const moment = Math.min(request.aroundDate.getTime(), maxMoment)
      return (await store.seqAt(channel.id, snowflakeAt(moment))) ?? channel.lastSeq
    }
    return null
  }

  /** Where a channel's history begins now. */
  async function firstSeqOf(channelId: string): Promise<number> {
    const [row] = await database.orm.select({ firstSeq: channels.firstSeq }).from(channels).where(eq(channels.id, channelId))
    return row?.firstSeq ?? 0
  }

  /**
   * One page of a channel as it stood when `channel` was read: nothing newer is on it, so that the channel's cursor
   * joins it without a gap. `read` reads its span. Throws BAD_USER_INPUT for arguments that contradict each other.
   */
  async function page(
    channel: ChannelRow,
    request: PageRequest,
    read: PageReader,
  ): Promise<Page> {
    checkRequest(request)
    const size = checkSize(request.first, 'first') ?? checkSize(request.last, 'last') ?? defaultPageSize
    const bounds = {
      from: Math.max(channel.firstSeq, (request.afterSeq ?? 0) + 1),
      to: Math.min(channel.lastSeq, (request.beforeSeq ?? Number.POSITIVE_INFINITY) - 1),
    }
    const centre = await findCentre(channel, request)
    const { span, anchor } = cut(bounds, size, centre, request.first != null || request.afterSeq != null)
    const wanted = { channelId: channel.id, span, anchor, change: channel.lastChange }
    const found = span.to < span.from ? [] : await read(wanted)
    if (found.length === 0 && span.to >= span.from) {
      // Retention came between: history begins later, and must not look as if it ended here.
      const firstSeq = await firstSeqOf(channel.id)
      if (firstSeq > channel.firstSeq) return page({ ...channel, firstSeq }, request, read)
    }
    const [oldest, newest] = [found[0], found.at(-1)]
    return {
      messages: found,
      hasPreviousPage: oldest !== undefined && oldest.seq > channel.firstSeq,
      hasNextPage: newest !== undefined && newest.seq < channel.lastSeq,
    }
  }

  return { page }
}

function cut(bounds: Span, size: number, centre: number | null, forwards: boolean): { span: Span; anchor: Anchor } {
  const { from, to } = bounds
  if (centre !== null) {
    // Half before, half after; near an end the rest goes to the other side.
    const start = Math.max(from, Math.min(centre - Math.floor(size / 2), to - size + 1))
    return { span: { from: start, to: Math.min(to, start + size - 1) }, anchor: centre }
  }
  return forwards
    ? { span: { from, to: Math.min(to, from + size - 1) }, anchor: 'start' }
    : { span: { from: Math.max(from, to - size + 1), to }, anchor: 'end' }
}

/** Checks the size of a page; null where none was asked for. */
export function checkSize(size: number | null | undefined, field: string): number | null {
  if (size == null) return null
  if (size < 1 || size > maxPageSize) throw badInput(`A page has 1 to ${maxPageSize} entries.`, field)
  return size
}

function checkRequest(request: PageRequest) {
  const windows = (['around', 'aroundSeq', 'aroundDate'] as const).filter((name) => request[name] != null)
  if (windows.length > 1) throw badInput('Give one of around, aroundSeq and aroundDate.', windows[1]!)
  if (windows.length === 1 && (request.afterSeq != null || request.beforeSeq != null)) {
    throw badInput('A window around a place goes without after and before.', windows[0]!)
  }
  if (request.first != null && request.last != null) throw badInput('Give first or last, not both.', 'last')
  if (request.last != null && request.afterSeq != null) throw badInput('last goes with before.', 'after')
  if (request.first != null && request.beforeSeq != null) throw badInput('first goes with after.', 'before')
}
