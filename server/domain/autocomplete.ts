import { badInput } from '../errors.ts'
import { cutKey, type SoughtKey, typedKeys } from '../lib/hangul-keys.ts'
import { countCodePoints, isFit } from '../lib/text.ts'
import type { ChannelRow } from '../message-store/rows.ts'
import { accessChannel } from './access.ts'
import { createLook, type Looked, type Wanted } from './autocomplete-look.ts'
import { createRosters, maxRoster } from './autocomplete-members.ts'
import { createNear, matching, type Near } from './autocomplete-near.ts'
import { best, type Candidate, createNodeReader } from './autocomplete-nodes.ts'
import type { Deps } from './deps.ts'

export type SuggestionKind = 'USER' | 'CHANNEL' | 'TERM'

export type Suggestion = Looked | { kind: 'TERM'; text: string }

export type AutocompleteRequest = {
  /** What was typed so far; `@` or `#` before it make no difference. */
  prefix: string
  /** Null for all; in a channel, for its people. */
  kinds: readonly SuggestionKind[] | null
  /** Only people who are in this channel. */
  channelId: string | null
  /** Null for `defaultFirst`. */
  first: number | null
}

export type AutocompleteService = ReturnType<typeof createAutocompleteService>

/** More than a name, or what is searched for, ever has. */
const maxPrefixLength = 100

const defaultFirst = 10
const maxFirst = 20

/** Looked at in one go besides those that are wanted: some of them will not do. */
const spare = 10

/** Of one kind of source, after so many that will not do nobody goes on looking. */
const maxLooked = 200

/**
 * Of a large channel and a prefix with which very many begin, people who are asked whether they are in it: so many, and
 * where they were too few, so many.
 */
const askedAtOnce = [400, 2_000]

/**
 * Suggests people, channels and search terms while somebody types. What is suggested comes, in this order, from those
 * whom the viewer talks with and the channels that they are in, and then from everybody and all PUBLIC channels, the best
 * known first; then both once more for what was typed on the other layout of the keyboard. All of it is looked at as it
 * is now before it is shown.
 */
export function createAutocompleteService({ database, finding }: Pick<Deps, 'database' | 'finding'>) {
  const { orm } = database
  const nodes = createNodeReader(database)
  const nearOf = createNear(database)
  const rosters = createRosters(database)
  const look = createLook(orm)
  const isBlocked = finding?.isBlockedTerm ?? (() => false)

  type Asked = { kinds: ReadonlySet<SuggestionKind>; channel: ChannelRow | null; viewerId: string }

  /** What is found by a key: those near the viewer, and everybody and everything, the best known first. */
  type Found = { sought: SoughtKey; near: Near; anywhere: readonly Candidate[]; isAll: boolean }

  async function gather(asked: Asked, near: Promise<Near>, sought: SoughtKey, text: string | null): Promise<Found> {
    const [{ people, channels }, rest] = await Promise.all([near, findAnywhere(asked, sought, text)])
    return { sought, near: { people: matching(people, sought), channels: matching(channels, sought) }, ...rest }
  }

  async function findAnywhere({ kinds, channel }: Asked, sought: SoughtKey, text: string | null) {
    const { key } = sought
    if (key === '') {
      const newest = kinds.has('USER') && channel !== null ? await rosters.newest(channel.id) : []
      return { anywhere: peopleOf(newest), isAll: true }
    }
    const isSmall = channel !== null && channel.memberCount <= maxRoster
    const wanted = (['USER', 'CHANNEL'] as const).filter((kind) => kinds.has(kind) && !(kind === 'USER' && isSmall))
    const [named, { found, isAll }, members] = await Promise.all([
      // Who has typed all of a username means whoever has it.
      text !== null && wanted.includes('USER') ? nodes.personNamed(text) : [],
      nodes.read(wanted, cutKey(key)),
      isSmall && kinds.has('USER') ? rosters.all(channel).then((people) => matching(people, sought)) : [],
    ])
    return { anywhere: [...named, ...best([...found, ...members])], isAll }
  }

  async function findTerms(keys: readonly string[], first: number): Promise<string[]> {
    const lists = await Promise.all(keys.map((key) => nodes.terms(key)))
    const texts = new Set(lists.flatMap((list) => list.map(({ id }) => id)))
    // A list of words that has grown holds at once.
    return [...texts].filter((text) => !isBlocked(text)).slice(0, first)
  }

  /** Those of these people who are in a channel; everybody where there is none. */
  async function present(channel: ChannelRow | null, candidates: readonly Candidate[]) {
    if (channel === null) return () => true
    const people = candidates.filter(({ kind }) => kind === 'USER').map(({ id }) => id)
    const here = await rosters.present(channel.id, [...new Set(people)])
    return ({ kind, id }: Candidate) => kind !== 'USER' || here.has(id)
  }

  /** What has been gathered in the order in which it is shown, as far as it is asked for. */
  async function arrange({ kinds, channel }: Asked, gathered: readonly Found[]): Promise<Wanted[]> {
    const isHere = await present(channel, gathered.flatMap(({ near, anywhere }) => [...near.people, ...anywhere]))
    return gathered.flatMap(({ sought, near, anywhere }) => {
      const people = kinds.has('USER') ? near.people.filter(isHere) : []
      const channels = kinds.has('CHANNEL') ? near.channels : []
      return [...inTurns(people, channels), ...anywhere.filter(isHere)].map(({ kind, id }) => ({ kind, id, ...sought }))
    })
  }

  return {
    /**
     * The best suggestions for what the viewer has typed. Throws BAD_USER_INPUT, and for a channel that is named NOT_FOUND
     * or FORBIDDEN. The viewer is not among them, nor who was deleted, nor anybody of whom one has blocked the other.
     */
    async find(viewerId: string, request: AutocompleteRequest): Promise<Suggestion[]> {
      const channel =
        request.channelId === null ? null : (await accessChannel(orm, viewerId, request.channelId, 'read')).channel
      const { kinds, first, text } = check(request)
      const { own, other, mixed } = typedKeys(text)
      // Nothing but signs was typed: nothing is called so.
      if (own === '' && text !== '') return []
      const keys = other === null ? [own] : [own, other]
      const sought = [mixed ?? { key: own, also: '' }, ...keys.slice(1).map((key) => ({ key, also: '' }))]
      const asked = { kinds, channel, viewerId }
      const terms = kinds.has('TERM') ? findTerms(keys, first) : Promise.resolve([])
      const [found, suggested] = await Promise.all([findNamed(asked, sought, text, first), terms])
      return share(found, suggested, first)
    },
  }

  /** The first people and channels that will do. */
  async function findNamed(asked: Asked, keys: readonly SoughtKey[], text: string, first: number): Promise<Looked[]> {
    const { kinds, channel, viewerId } = asked
    if (!kinds.has('USER') && !kinds.has('CHANNEL')) return []
    const found: Looked[] = []
    const seen = new Set([viewerId])
    async function take(wanted: readonly Wanted[]) {
      const fresh = wanted.filter(({ id }) => !seen.has(id) && seen.add(id))
      for (let start = 0; start < Math.min(fresh.length, maxLooked) && found.length < first; start += first + spare) {
        found.push(...(await look(viewerId, fresh.slice(start, start + first + spare))))
      }
    }

    const near = nearOf(viewerId)
    const gathered = await Promise.all(keys.map((key, nth) => gather(asked, near, key, nth === 0 ? text : null)))
    await take(await arrange(asked, gathered))
    const isLarge = channel !== null && channel.memberCount > maxRoster && kinds.has('USER')
    for (const { sought, isAll } of isLarge ? gathered : []) {
      for (const count of isAll ? [] : askedAtOnce) {
        if (found.length >= first) break
        const more = await nodes.scan(['USER'], cutKey(sought.key), count)
        const isHere = await present(channel, more)
        await take(more.filter(isHere).map(({ kind, id }) => ({ kind, id, ...sought })))
      }
    }
    return found.slice(0, first)
  }
}

/** Throws BAD_USER_INPUT where a request cannot be answered. */
function check({ prefix, kinds, channelId, first }: AutocompleteRequest) {
  if (prefix.length > 2 * maxPrefixLength || countCodePoints(prefix) > maxPrefixLength) {
    throw badInput(`What was typed may be at most ${maxPrefixLength} characters long.`, 'prefix')
  }
  if (!isFit(prefix)) throw badInput('What was typed holds characters that cannot be shown.', 'prefix')
  const size = first ?? defaultFirst
  if (size < 1 || size > maxFirst) throw badInput(`1 to ${maxFirst} suggestions.`, 'first')
  const usual: readonly SuggestionKind[] = channelId === null ? ['USER', 'CHANNEL', 'TERM'] : ['USER']
  return { kinds: new Set(kinds ?? usual), first: size, text: prefix.trim().replace(/^[@#]/, '').trim() }
}

const peopleOf = (ids: readonly string[]): Candidate[] => ids.map((id) => ({ kind: 'USER', id, score: 0 }))

/** One of each in turn, as long as both last. */
function inTurns<Item>(one: readonly Item[], other: readonly Item[]): Item[] {
  const turns: Item[] = []
  for (let nth = 0; nth < Math.max(one.length, other.length); nth++) {
    turns.push(...one.slice(nth, nth + 1), ...other.slice(nth, nth + 1))
  }
  return turns
}

/** People and channels, and below them terms, for which a quarter of the places is kept. */
function share(found: readonly Looked[], terms: readonly string[], first: number): Suggestion[] {
  const kept = Math.min(terms.length, Math.max(Math.floor(first / 4), first - found.length))
  return [
    ...found.slice(0, first - kept),
    ...terms.slice(0, kept).map((text): Suggestion => ({ kind: 'TERM', text })),
  ]
}
