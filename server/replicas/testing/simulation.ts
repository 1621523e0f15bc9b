import { createRandom, type Random } from '../../testing/random.ts'
import { loadOf } from '../loads.ts'
import { findPlace, type Place } from '../placement.ts'
import type { Way } from './rivals.ts'

/** What became of the clients in one step. */
export type Step = {
  /** The share of all clients that have another replica than before. */
  moved: number
  /** The share that must have: to be as many on each replica, or because theirs is gone. */
  least: number
  /** The most on one replica, over the mean. */
  spread: number
}

export type Comings = {
  begin: Step
  join: Step
  leave: Step
  /** Of the clients whose user has another one: the share that is where the last of these is. */
  together: number
  /** The share that has another replica when everybody asks once more after the join, and nothing has happened. */
  again: number
}

/** Ids as accounts have them. */
const userKey = (number: number) => String(7_000_000_000_000_000_000n + BigInt(number) * 4_096n)

/** The key of each client: users have two on the average, and `crowd` of the clients are all of one user. */
function createClients(count: number, crowd: number, random: Random): string[] {
  const users = Math.ceil(count * 0.7)
  return Array.from({ length: count }, (_, nth) => (nth < crowd ? userKey(users) : userKey(random.below(users))))
}

/**
 * Clients come to `replicas` replicas one after the other; one more replica joins and another one leaves. After each
 * everybody asks again, in any order, as clients do when their token has expired. The same from the same seed.
 */
export function simulateComings(
  find: Way,
  options: { clients: number; replicas: number; seed: number; crowd?: number },
): Comings {
  const random = createRandom(options.seed)
  const keys = createClients(options.clients, options.crowd ?? 0, random)
  let places: Place[] = Array.from({ length: options.replicas }, (_, nth) => newPlace(nth))
  const placeOf: (Place | null)[] = keys.map(() => null)

  function everybodyAsks(): Omit<Step, 'least'> {
    let moved = 0
    for (const nth of shuffled(keys.length, random)) {
      const before = placeOf[nth]!
      if (before !== null) before.load--
      const place = find(places, keys[nth]!)
      place.load++
      placeOf[nth] = place
      if (place !== before) moved++
    }
    return { moved: moved / keys.length, spread: spreadOf(places.map(({ load }) => load)) }
  }

  const begin = { ...everybodyAsks(), least: 1 }
  const together = shareTogether(keys, placeOf)
  places = [...places, newPlace(options.replicas)]
  const join = { ...everybodyAsks(), least: 1 / places.length }
  const again = everybodyAsks().moved
  const leaver = places[3 % places.length]!
  const least = leaver.load / keys.length
  places = places.filter((place) => place !== leaver)
  return { begin, join, leave: { ...everybodyAsks(), least }, together, again }
}

/**
 * A storm: `clients` arrive evenly within `seconds`, each asking one of the replicas at random. What a replica knows of
 * the others' sockets is up to a second old, and what others have sent up to 100 ms; a client that was sent somewhere is
 * there after up to 1.5 s. Gives the spread when all have arrived.
 */
export function simulateStorm(options: {
  clients: number
  replicas: number
  seconds: number
  seed: number
  /** Ours, or what it is compared with. */
  find?: Way
  /** As how many replicas' what one has not told counts; null for all. */
  senders?: number
  /** Sockets that are there at first, by replica. */
  before?: readonly number[]
  /** Clients that are of one user. */
  crowd?: number
}): { spread: number } {
  const { clients, replicas } = options
  const random = createRandom(options.seed)
  const keys = createClients(clients, options.crowd ?? 0, random)
  const order = shuffled(clients, random)
  const names = Array.from({ length: replicas }, (_, nth) => newPlace(nth).name)
  const zeros = () => names.map(() => 0)
  const sockets = names.map((_, nth) => options.before?.[nth] ?? 0)
  const arrived = zeros()
  const told = zeros()
  /** What each replica knows, and has not told. */
  const views = names.map(() => ({ sockets: sockets.slice(), arrived: zeros(), sent: zeros(), untold: zeros() }))
  const arrivals: number[][] = []
  const stepMs = 10
  const steps = (options.seconds * 1_000) / stepMs
  for (let step = 0; step < steps + 200; step++) {
    for (const to of arrivals[step] ?? []) {
      sockets[to]!++
      arrived[to]!++
    }
    views.forEach((view, front) => {
      // Not all in the same moment.
      if ((step * stepMs + front * 30) % 100 !== 0) return
      view.untold.forEach((count, to) => (told[to]! += count))
      Object.assign(view, { untold: zeros(), sent: told.slice(), sockets: sockets.slice(), arrived: arrived.slice() })
    })
    for (const nth of order.slice((step * clients) / steps, ((step + 1) * clients) / steps)) {
      const front = random.below(replicas)
      const view = views[front]!
      const places = names.map((name, to) => {
        // Of itself each knows the newest.
        const newest = to === front ? { sockets, arrived } : view
        const known = { sockets: newest.sockets[to]!, arrived: newest.arrived[to]! }
        const load = loadOf({ ...known, sent: view.sent[to]!, untold: view.untold[to]! }, options.senders ?? replicas)
        return { name, load }
      })
      const to = places.indexOf((options.find ?? findPlace)(places, keys[nth]!) as (typeof places)[number])
      view.untold[to]!++
      ;(arrivals[step + 1 + random.below(150)] ??= []).push(to)
    }
  }
  return { spread: spreadOf(sockets) }
}

function shareTogether(keys: readonly string[], placeOf: readonly (Place | null)[]): number {
  const last = new Map<string, Place | null>()
  let [others, together] = [0, 0]
  keys.forEach((key, nth) => {
    if (last.has(key)) others++
    if (last.get(key) === placeOf[nth]) together++
    last.set(key, placeOf[nth]!)
  })
  return together / others
}

const newPlace = (nth: number): Place => ({ name: `https://maru-${nth}.chat.example.org`, load: 0 })

const spreadOf = (loads: readonly number[]): number =>
  Math.max(...loads) / (loads.reduce((sum, load) => sum + load, 0) / loads.length)

/** The numbers from 0 up to, and not including, `count`, in some order. */
function shuffled(count: number, random: Random): number[] {
  const numbers = Array.from({ length: count }, (_, nth) => nth)
  for (let place = count - 1; place > 0; place--) {
    const other = random.below(place + 1)
    ;[numbers[place], numbers[other]] = [numbers[other]!, numbers[place]!]
  }
  return numbers
}
