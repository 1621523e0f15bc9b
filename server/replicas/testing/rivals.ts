import { findPlace, hashOf, mostTimesMean, type Place } from '../placement.ts'

/** A way to find a place for a key; the place with room that it is given to. */
export type Way = (places: readonly Place[], key: string) => Place

/** Ours, and what it is compared with. */
export const ways: Record<string, Way> = {
  'this': (places, key) => findPlace(places, key)!,
  'this, bound 1.1': (places, key) => findPlace(places, key, 1.1)!,
  'this, bound 1.05': (places, key) => findPlace(places, key, 1.05)!,
  'plain: hash mod n': (places, key) => places[hashOf(key) % places.length]!,
  'circle, 100 points each, no bound': (places, key) => onCircle(places, key, 100, Infinity),
  'circle, 100 points each, bound': (places, key) => onCircle(places, key, 100, mostTimesMean),
  'circle, 1 point each, bound (2016)': (places, key) => onCircle(places, key, 1, mostTimesMean),
  'fewest sockets': (places) => places.reduce((least, place) => (place.load < least.load ? place : least)),
}

/** Circles by their places' names and points. */
const circles = new Map<string, { at: number; nth: number }[]>()

/** Consistent hashing as it is mostly done: points on a circle, and the key goes to the next one with room. */
function onCircle(places: readonly Place[], key: string, points: number, times: number): Place {
  const name = `${points} ${places.map((place) => place.name).join(' ')}`
  let circle = circles.get(name)
  if (circle === undefined) {
    circle = places.flatMap((place, nth) =>
      Array.from({ length: points }, (_, point) => ({ at: hashOf(`${place.name} ${point}`), nth })),
    )
    circle.sort((one, other) => one.at - other.at)
    circles.set(name, circle)
  }
  const people = 1 + places.reduce((sum, { load }) => sum + load, 0)
  const most = Math.ceil((times * people) / places.length)
  let [low, high] = [0, circle.length]
  for (const hash = hashOf(key); low < high; ) {
    const middle = (low + high) >> 1
    if (circle[middle]!.at < hash) low = middle + 1
    else high = middle
  }
  for (let step = 0; ; step++) {
    const place = places[circle[(low + step) % circle.length]!.nth]!
    if (place.load < most) return place
  }
}
