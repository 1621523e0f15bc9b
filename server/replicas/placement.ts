/** A place that can be given: what it is called, and how many have it or are on their way. */
export type Place = { name: string; load: number }

/**
 * How many times the mean a place may have before it is given to nobody else. Smaller is more even and moves more
 * people when places come and go: `npm run bench -- endpoint` shows by how much. With people who have a few devices
 * each this much is hardly ever reached; it is there for what hashing alone does not even out: a replica that is new
 * beside some that are full, and the one user with a thousand sockets.
 */
export const mostTimesMean = 1.25

/**
 * With no more than these a place always has room: they are no burden for a replica, which holds tens of thousands, and
 * among so few the bound would only tear apart what belongs together.
 */
export const roomAnyway = 50

/**
 * Finds a place for `key`: the one that ranks first for this key among those with room. The same key finds the same
 * place as long as that has room, whoever asks and whatever else is in the list. A place that comes or goes changes
 * nothing for keys that do not rank it first, but for the few that a full place has turned away. Null where there are
 * no places.
 *
 * It is the bound of Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded Loads" (2016): with n places
 * and m who have one, none is given that has `times` × (m + 1) / n already, and `roomAnyway`. The order in which a key
 * tries places is not that of a circle, as theirs, but one of its own for each key (Thaler and Ravishankar, "Using
 * Name-Based Mappings to Increase Hit Rates", 1998): it is even without hundreds of points for each place, and what a
 * full place turns away goes to all others and not to the next one. It looks at every place, which for a hundred takes
 * some ten microseconds.
 */
export function findPlace<P extends Place>(places: readonly P[], key: string, times = mostTimesMean): P | null {
  let people = 1
  for (const { load } of places) people += load
  const most = Math.max(roomAnyway, Math.ceil((times * people) / places.length))
  const hash = hashOf(key)
  let found: P | null = null
  let highest = -1
  for (const place of places) {
    if (place.load >= most) continue
    const rank = mix(hash ^ hashOf(place.name))
    // Two of one name are reached by one address: either will do.
    if (rank < highest || (rank === highest && place.load >= found!.load)) continue
    highest = rank
    found = place
  }
  return found
}

/** 32 bits of a text: FNV-1a, mixed, as its high bits alone say little of the last letters. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let place = 0; place < text.length; place++) hash = Math.imul(hash ^ text.charCodeAt(place), 0x01000193)
  return mix(hash)
}

/** Lets every bit decide on every other: the last step of MurmurHash3 (Appleby). */
function mix(bits: number): number {
  let mixed = bits ^ (bits >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
