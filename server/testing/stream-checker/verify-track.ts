import type { Chronicle } from './chronicle.ts'
import type { Final, Thing } from './ledger.ts'
import type { Selection } from './selections.ts'
import type { Track } from './track.ts'

/** What all tracks of a channel are held against. */
export type Truth = {
  final: Final
  /** By change number: the moment before which it cannot have been there; and the next change of the same thing. */
  earliest: Float64Array
  next: Int32Array
  /** Whether nothing may have been missed by anybody, so that nothing may be folded either. */
  isExact: boolean
}

/**
 * Holds what one device was told of one channel against what happened there.
 *
 * The changes told must rise, which is looked at as they come. A change may be passed over only where something that
 * happened to the same thing later is told instead, as a stream tells of what was missed in its latest state. When the
 * device was told of the first change beyond the one passed over, that later one must have been there already: or else
 * the stream had lost the change, and only luck has made good for it.
 */
export function verifyTrack(track: Track, selection: Selection, truth: Truth, chronicle: Chronicle): void {
  verifyCompleteness(track, truth, chronicle)
  verifyKinds(track, chronicle)
  verifyAbsence(track, truth, chronicle)
  verifyState(track, selection, truth, chronicle)
}

function verifyCompleteness(track: Track, { final, earliest, next, isExact }: Truth, chronicle: Chronicle) {
  const { channel, trail, changes, times, base, scope } = track
  const isTold = (thing: Thing | undefined) => (scope === 'messages' ? typeof thing === 'number' : thing !== undefined)
  const absences = track.isComer && scope === 'everything' ? channel.absences(track.userId) : []
  // Who goes need not be told the rest; who is back begins there.
  const isExcused = (change: number, told: number) => absences.some(({ out, back }) => told >= out && change <= back)
  /** Whether what was passed over is told in what became of it by this moment. */
  const isFolded = (change: number, moment: number) => {
    const later = next[change]!
    if (later === 0 || isExact) return false
    if (earliest[later]! <= moment) return true
    // One of which nobody was told may have come between.
    for (let between = change + 1; between < later; between++) {
      if (channel.things[between] === undefined && earliest[between]! <= moment) return true
    }
    return false
  }

  let told = base
  let folded = 0
  // Who is out is told the rest when they are back.
  const isOut = track.isComer && channel.absences(track.userId).at(-1)?.back === Infinity
  for (let nth = 0; nth < changes.length + (isOut ? 0 : 1); nth++) {
    const [upTo, moment] = [changes[nth] ?? final.change + 1, times[nth] ?? Infinity]
    for (let change = told + 1; change < upTo; change++) {
      if (!isTold(channel.things[change]) || isExcused(change, upTo)) continue
      if (isFolded(change, moment)) {
        folded++
        continue
      }
      const what = `Change ${change} was never told, after ${told} and before ${changes[nth] ?? 'the end'}.`
      const evidence = [
        { channel: channel.id, of: channel.spellThing(channel.things[change]), later: next[change], earliest: earliest[next[change]!], moment },
        { around: [change - 2, change - 1, change, change + 1, change + 2].map((one) => [one, channel.spellThing(channel.things[one]), Math.round(earliest[one] ?? 0)]) },
      ]
      chronicle.find('complete', trail, what, evidence, Number.isFinite(moment) ? moment : times.at(-1))
      return
    }
    told = upTo
  }
  chronicle.count('changes folded', folded)
}

/** CREATED is what the connection has not been told before, and what came into being after where it began. */
function verifyKinds(track: Track, chronicle: Chronicle) {
  const { channel, trail, begins, connections, things, asCreated, changes } = track
  // Who is let in again begins anew, on the same connection.
  if (track.isComer && track.scope === 'everything') return
  const told = new Set<string>()
  for (const [nth, thing] of things.entries()) {
    if (typeof thing !== 'number') continue
    const [begin, created] = [begins[connections[nth]!], channel.created[thing]]
    if (begin === undefined || created === undefined) continue
    const key = `${connections[nth]} ${thing}`
    const isNew = created > begin && !told.has(key)
    told.add(key)
    if (isNew === asCreated[nth]) continue
    const what = `Change ${changes[nth]} is ${asCreated[nth] ? '' : 'not '}told as CREATED.`
    chronicle.find('kind', trail, what, [{ channel: channel.id, begin, created }], track.times[nth])
    return
  }
}

/** Who is out hears nothing of it, unless they are back. */
function verifyAbsence(track: Track, { earliest }: Truth, chronicle: Chronicle) {
  if (!track.isComer) return
  const { channel, trail, changes, times, scope } = track
  const absences = channel.absences(track.userId)
  for (const [nth, change] of changes.entries()) {
    // The one before `back` says that they come, and may be told to them.
    const absence = absences.find(({ out, back }) => change > out && change < back - 1)
    if (absence === undefined) continue
    // A stream of messages that is begun again tells what happened meanwhile, as anybody may read who is in.
    if (scope === 'messages' && absence.back !== Infinity && earliest[absence.back]! <= times[nth]!) continue
    const what = `Change ${change} is told to somebody who was out by then.`
    chronicle.find('removed', trail, what, [{ channel: channel.id, ...absence }], times[nth])
    return
  }
}

/** Whatever is kept is as it is now, and nothing is missing that happened while the device listened. */
function verifyState(track: Track, selection: Selection, { final }: Truth, chronicle: Chronicle) {
  const { channel, trail, versions, prints, base, userId } = track
  if (track.isComer && channel.absences(userId).at(-1)?.back === Infinity) return
  for (const [place, message] of final.messages) {
    const known = versions.get(place)
    if (known === undefined && message.version <= base) continue
    if (known === message.version && prints.get(place) === selection.print(message, userId)) continue
    const what = `A message is kept in version ${known ?? 'none'}, and is ${message.version} now.`
    chronicle.find('state', trail, what, [{ channel: channel.id, base, message }])
    return
  }
}
