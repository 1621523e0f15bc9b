import { changeOf } from './listener.ts'
import type { Corrupt, Tamper } from './audience.ts'
import type { Promised } from './chronicle.ts'

/** A device that is told otherwise than a server has said, and which promises that must seem to break. */
export type Liar = { who: string; lie: string; found: readonly Promised[] }

type Next = { id: string; type: string; payload: any }

/** Lies about the answers that come: gives other frames for one, or null where it is to be as it is. */
const about =
  (lie: (next: Next, event: any) => object[] | null): Tamper =>
  (frame) => {
    if (!frame.includes('"type":"next"')) return [frame]
    const next = JSON.parse(frame) as Next
    const event = next.payload.data?.messages ?? next.payload.data?.inbox ?? next.payload.data?.presence
    return lie(next, event)?.map((made) => JSON.stringify(made)) ?? [frame]
  }

/** Lies about one in so many of those that qualify. */
function nowAndThen(oneIn: number, lie: (next: Next, event: any) => object[], qualifies: (event: any) => boolean = () => true) {
  let count = 0
  return about((next, event) => (qualifies(event) && ++count % oneIn === 0 ? lie(next, event) : null))
}

/** Answers an event that says something else in the place of one that came. */
const instead = (next: Next, change: (event: any) => void): object[] => {
  const { messages, inbox, presence } = next.payload.data
  change(messages ?? inbox ?? presence)
  return [next]
}

/** Holds one back until after the next of the same subscription. */
function swapping(oneIn: number): Tamper {
  const held = new Map<string, Next>()
  let count = 0
  return about((next) => {
    const before = held.get(next.id)
    if (before !== undefined) {
      held.delete(next.id)
      return [next, before]
    }
    if (++count % oneIn !== 0) return null
    held.set(next.id, next)
    return []
  })
}

/** Is told after so many frames that the socket has been closed, with a code that means never to come back. */
function sentAway(after: number): Tamper {
  let count = 0
  return (frame) => (++count % after === 0 ? ['close 4500'] : [frame])
}

/**
 * Of each way to break a promise, one device to which it is broken. Newest events of each stream are collected from all
 * who are honest, to be leaked to somebody who was put out.
 */
export function makeLiars(): { corrupt: Corrupt; isLiedTo(name: string): boolean; liars: Liar[] } {
  const liars: Liar[] = []
  const newest = new Map<string, any>()
  const overhear = about((_, event) => {
    if (event.message !== undefined && event.cursor !== undefined) newest.set(event.cursor.slice(0, 16), event)
    return null
  })

  /** Keeps from somebody that they were put out, and lets them hear what is said meanwhile. */
  function leaking(): Tamper {
    const last = new Map<string, string>()
    const out = new Set<string>()
    return (frame) => {
      const { id, type, payload } = frame.startsWith('{') ? (JSON.parse(frame) as Next) : ({} as Next)
      const cursor = payload?.data?.messages?.cursor as string | undefined
      if (cursor !== undefined) last.set(id, cursor)
      if (type === 'error' && last.has(id)) {
        out.add(id)
        return []
      }
      const leaks = [...out].flatMap((to) => {
        const before = last.get(to)!
        const event = newest.get(before.slice(0, 16))
        if (event === undefined || changeOf(event.cursor) <= changeOf(before)) return []
        last.set(to, event.cursor)
        return [JSON.stringify({ id: to, type: 'next', payload: { data: { messages: event } } })]
      })
      return [frame, ...leaks]
    }
  }

  const isMessage = (event: any) => event.message !== undefined
  const lies: Record<string, [lie: string, found: Promised[], tamper: Tamper]> = {
    'alice’s desk': ['loses one in ten', ['complete', 'state'], nowAndThen(10, () => [])],
    'bob’s desk': ['hears one in ten twice', ['order'], nowAndThen(10, (next) => [next, next])],
    'carol’s desk': ['hears two in the wrong order', ['order'], swapping(10)],
    'dave’s desk': ['reads something else', ['agreement', 'state'], nowAndThen(5, (next) => instead(next, (event) => (event.message.content += '!')), isMessage)],
    '지우’s desk': ['takes what is new for old', ['kind'], nowAndThen(3, (next) => instead(next, (event) => (event.kind = 'EDITED')), ({ kind }) => kind === 'CREATED')],
    '민준’s desk': ['sees reactions of others as its own', ['state'], nowAndThen(1, (next) => instead(next, ({ message }) => message.reactions.push({ emoji: '🪵', viewerHasReacted: true })), isMessage)],
    '하나’s desk': ['is sent away for good', ['socket'], sentAway(20)],
    'alice’s phone': ['loses one in ten', ['complete', 'state'], nowAndThen(10, () => [])],
    'bob’s phone': ['hears one in ten twice', ['order'], nowAndThen(10, (next) => [next, next], ({ __typename }) => __typename === 'MessageEvent')],
    'carol’s phone': ['does not hear who comes and goes', ['complete'], nowAndThen(1, () => [], ({ __typename }) => __typename === 'MembershipEvent')],
    'dave’s phone': ['sees what has failed', ['answer'], nowAndThen(20, (next) => [{ ...next, payload: { data: null, errors: [{ message: 'no' }] } }])],
    'erin’s device': ['hears what is said when it is out', ['removed'], leaking()],
    'guest 1': ['does not notice that it is signed out', ['session'], (frame) => [frame === 'close 4403' ? 'close 1006' : frame]],
    'alice, who watches': ['sees nobody', ['presence'], nowAndThen(1, (next) => instead(next, ({ presence }) => (presence.status = 'OFFLINE')))],
  }
  let hasReader = false
  return {
    liars,
    isLiedTo: (name) => liars.some(({ who }) => who === name),
    corrupt({ name, asks }) {
      const known = lies[name]
      if (known !== undefined) {
        liars.push({ who: name, lie: known[0], found: known[1] })
        return known[2]
      }
      // Whose own fields never change, so that it is known what they must be.
      if (asks !== 'own' || !name.startsWith('reader') || hasReader) return overhear
      hasReader = true
      liars.push({ who: name, lie: 'has somebody else’s draft', found: ['viewer'] })
      return nowAndThen(10, (next) => instead(next, ({ message }) => (message.channel.viewerDraft = 'another’s')))
    },
  }
}
