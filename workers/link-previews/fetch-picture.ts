import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileTypeFromBuffer } from 'file-type'
import { OutboundError, type Outbound } from '../../server/lib/outbound.ts'
import { hostOf, type Hosts, Postponed } from './hosts.ts'
import type { Found } from './link-cache.ts'
import { readRobots } from './robots.ts'
import { isAskable, maxRedirects, redirectOf, type Trip } from './trip.ts'

/** Makes a small picture of whatever a file holds; null where it is none, or is not to be trusted. */
export type MakePicture = (
  input: Buffer,
  size: { width: number; height: number },
) => Promise<{ data: Buffer; width: number; height: number; contentType: string } | null>

/** Keeps a picture. */
export type WriteFile = (key: string, body: Buffer, contentType: string) => Promise<unknown>

export type FetchPictureOptions = {
  outbound: Pick<Outbound, 'fetch'>
  hosts: Hosts
  makePicture: MakePicture
  writeFile: WriteFile
  timeoutMs: number
}

/** What is known of a picture that is kept. */
export type Picture = Pick<Found, 'imageKey' | 'imageType' | 'imageWidth' | 'imageHeight'>

/** A photograph as cameras make them. */
export const maxPictureBytes = 8_000_000

/** Pictures by what they hold, and not by what they are called. */
export const pictureTypes = new Set(['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif'])

/** A worker that is busy with films has no time for the pictures of links. Milliseconds. */
const pictureMs = 15_000

/**
 * Pictures that are made or wait for it in this process at once, those that were given up as well: the jobs that run at
 * once may have as many, and no more lie in memory, however long the films are.
 */
export const maxMaking = 12

/** As wide as clients show it on a sharp screen, and never higher than it is wide. */
const pictureSize = { width: 600, height: 600 }

/** Asks for pictures of pages, and keeps them. */
export function createFetchPicture({ outbound, hosts, makePicture, writeFile, timeoutMs }: FetchPictureOptions) {
  async function ask(url: string, { signal, timeFor }: Trip): Promise<Buffer | URL | null> {
    try {
      const limits = { timeoutMs: timeFor(timeoutMs), maxBytes: maxPictureBytes, signal }
      const answer = await outbound.fetch(url, {
        ...limits,
        headers: { accept: 'image/*' },
        // Nothing is read of what is no picture.
        limitsFor: ({ status }) => (status === 200 ? {} : { maxBytes: 0, cut: true }),
      })
      return answer.status === 200 ? answer.body : redirectOf(url, answer)
    } catch (error) {
      signal?.throwIfAborted()
      // A page without its picture is better than none.
      if (error instanceof OutboundError) return null
      throw error
    }
  }

  /** The pause that a host is known to want. */
  async function delayOf(url: string, host: string): Promise<number> {
    const rules = await hosts.rulesOf(host)
    return rules === null ? 0 : readRobots(url, rules).delayMs
  }

  let making = 0
  const refuseIfBusy = () => {
    if (making >= maxMaking) throw new Postponed(pictureMs)
  }

  /** Makes a picture, unless it takes too long; it goes on being made then, as far as it counts. */
  async function make(body: Buffer): ReturnType<MakePicture> {
    refuseIfBusy()
    making++
    const made = makePicture(body, pictureSize).finally(() => making--)
    made.catch(() => undefined)
    const enough = new AbortController()
    const tooLong = sleep(pictureMs, undefined, { signal: enough.signal }).then(
      () => Promise.reject(new Postponed(pictureMs)),
      () => null,
    )
    return Promise.race([made, tooLong]).finally(() => enough.abort())
  }

  /**
   * Makes a picture small and keeps it; null where it is none. Throws Postponed where there is no time for it just now.
   */
  async function keep(body: Buffer): Promise<Picture | null> {
    const type = await fileTypeFromBuffer(body).catch(() => undefined)
    if (type === undefined || !pictureTypes.has(type.mime)) return null
    const picture = await make(body)
    if (picture === null) return null
    // One of its own each time: what is removed one day may not be what somebody else has just written.
    const key = `previews/${randomUUID().replaceAll('-', '')}`
    await writeFile(key, picture.data, picture.contentType)
    return { imageKey: key, imageType: picture.contentType, imageWidth: picture.width, imageHeight: picture.height }
  }

  return {
    keep,

    /**
     * Asks for a picture in its host's turn, and for what it redirects to in that of its own. Null where there is none.
     * Throws Postponed where a host has to be left alone just now, or there is no time for pictures.
     */
    async fetch(first: string, trip: Trip): Promise<Picture | null> {
      refuseIfBusy()
      let url = first
      for (let left = maxRedirects; ; left--) {
        const [from, host] = [url, hostOf(url)]
        const visit = { tour: trip.tour, delayMs: await delayOf(from, host) }
        const found = await hosts.visit(host, () => ask(from, trip), visit)
        if (found === null) return null
        if (!(found instanceof URL)) return keep(found)
        if (left === 0 || !isAskable(found)) return null
        url = found.href
      }
    },
  }
}
