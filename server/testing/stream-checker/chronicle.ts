import { spell } from '../store-checker/history.ts'

/** Something that happened to somebody. `at` is in milliseconds since the beginning. */
export type Note = { at: number; who: string; what: string }

/** What happened to one of those who take part, the newest last. */
export type Trail = { who: string; note(what: string): void; around(at: number, ms: number): Note[] }

/** Something that must not be. `kind` says which promise it breaks. */
export type Finding = { kind: Promised; at: number; who: string; text: string }

/** The promises that are watched over, by name. */
export type Promised =
  | 'acknowledged' // what was acknowledged is in history, once
  | 'complete' // each change is told, or what became of it since
  | 'order' // in the order of the changes, each once
  | 'agreement' // everybody is told the same of one change
  | 'kind' // CREATED is what is new since the cursor
  | 'state' // what is kept from events is what is fetched anew
  | 'viewer' // an answer that depends on the viewer is the viewer’s own
  | 'removed' // who was removed hears nothing of what came after
  | 'session' // who was signed out hears nothing more
  | 'presence' // who is there is there, and nobody else
  | 'answer' // no failure but those that clients can do something about
  | 'socket' // no socket is closed with a code that ends clients for good
  | 'replica' // no replica ends by itself
  | 'memory' // what was needed is given back

/** Whoever reads of a fault wants to know what was going on; so much of it is kept, of all and of each. */
const notesKept = 4_000
const trailKept = 80

/** After so many of one kind, somebody’s fault has shown itself enough; and after so many in all, everybody’s. */
const findingsOfOne = 3
const findingsKept = 300

export type Chronicle = ReturnType<typeof createChronicle>

/** What happened when, and what of it must not be; promises that are `excepted` are not looked at. */
export function createChronicle(excepted: readonly Promised[] = []) {
  const started = performance.now()
  const notes: Note[] = []
  const counts = new Map<string, number>()
  const findings: Finding[] = []
  const remarks: string[] = []
  const over = new AbortController()
  const now = () => performance.now() - started

  const keep = (list: Note[], note: Note, most: number) => {
    list.push(note)
    if (list.length > 2 * most) list.splice(0, most)
  }

  return {
    now,
    findings,
    /** What breaks no promise, and is strange. */
    remarks,
    counts,
    /** Aborted when nothing more is to be done, be it because all is done or because it makes no sense to go on. */
    over: over.signal,
    end: (why: unknown) => over.abort(why),

    count(what: string, by = 1) {
      counts.set(what, (counts.get(what) ?? 0) + by)
    },
    counted: (what: string) => counts.get(what) ?? 0,

    /** Notes what everybody may have felt: a fault, a replica that came back. */
    note(who: string, what: string) {
      keep(notes, { at: now(), who, what }, notesKept)
    },

    trail(who: string): Trail {
      const own: Note[] = []
      return {
        who,
        note: (what) => keep(own, { at: now(), who, what }, trailKept),
        around: (at, ms) => own.filter((note) => Math.abs(note.at - at) <= ms),
      }
    },

    /** Notes what took long, with what happened to whoever waited. */
    remark(trail: Trail, what: string) {
      const common = notes.filter((note) => note.at >= now() - 60_000).slice(-30)
      const around = [...trail.around(now(), 60_000).slice(-30), ...common].toSorted((one, other) => one.at - other.at)
      remarks.push([`${trail.who}: ${what}`, ...around.map(tell)].join('\n'))
    },

    /** Notes that something is not as it must be, with what shows it, and what went on around it. */
    find(kind: Promised, trail: Trail | string, what: string, evidence: unknown[] = [], at = now()) {
      const who = typeof trail === 'string' ? trail : trail.who
      const alike = findings.filter((finding) => finding.kind === kind && finding.who === who).length
      if (alike >= findingsOfOne || findings.length >= findingsKept || excepted.includes(kind)) return
      const own = typeof trail === 'string' ? [] : trail.around(at, 15_000).slice(-25)
      const common = notes.filter((note) => note.at >= at - 15_000 && note.at <= at + 2_000).slice(-20)
      const around = [...own, ...common].toSorted((one, other) => one.at - other.at).map(tell)
      const text = [`${kind}: ${who}: ${what}`, ...evidence.map((one) => `    ${spell(one)}`), ...around].join('\n')
      findings.push({ kind, at, who, text })
    },
  }
}

const tell = ({ at, who, what }: Note) => `      ${(at / 1_000).toFixed(3).padStart(9)}  ${who}: ${what}`
