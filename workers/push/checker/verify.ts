import { claimMs } from '../deliveries.ts'
import { banFor, type Cause, excuseFor, isCause, mayHold } from './causes.ts'
import { meanPerBlow, verifyDoubles } from './doubles.ts'
import type { Evidence, Row, Taken } from './evidence.ts'
import { type Device, keyOf, type Ledger, type Message } from './ledger.ts'
import { type Context, type Finding, nameOf, spell, type Verdict } from './verdict.ts'

/**
 * How long ago may have been seen what a push is decided by, at the moment when its provider takes it: a request may
 * last as long as a provider is waited for (10 s), the process may have been frozen meanwhile (`longestFreezeMs` in
 * blows.ts), and may wait for its turn on a busy machine. Milliseconds.
 */
export const staleMs = 45_000

/** Holds everything that was seen against everything that was done. Changes neither. */
export function verify(ledger: Ledger, evidence: Evidence): Verdict {
  const findings: Finding[] = []
  const counts = new Map<string, number>()
  const context: Context = {
    ledger,
    evidence,
    find: (kind, what, ...shown) => void findings.push({ kind, text: [what, ...shown.map(spell)].join('\n    ') }),
    count: (what, by = 1) => void counts.set(what, (counts.get(what) ?? 0) + by),
  }
  const shown = evidence.taken.filter((one) => one.kind === 'show')
  const seen: Seen = {
    taken: Map.groupBy(shown.filter((one) => one.key !== null), (one) => pairOf(one.device, one.key!)),
    rows: new Map(evidence.rows.flatMap((row) => (row.key === null ? [] : [[pairOf(row.device, row.key), row]]))),
    summaries: new Map(evidence.rows.flatMap((row) => (row.kind === 'SUMMARY' ? [[row.subjectId, row]] : []))),
  }
  for (const message of ledger.messages) {
    for (const person of ledger.people) {
      if (!person.places.has(message.channel)) continue
      for (const device of person.devices) verifyPair(context, seen, message, device)
    }
  }
  verifyKnown(context, shown)
  verifySummaries(context, shown, seen)
  verifyDoubles(context)
  verifyDone(context)
  verifyDead(context)
  verifyBadges(context)
  return { findings, counts }
}

type Seen = { taken: Map<string, Taken[]>; rows: Map<string, Row>; summaries: Map<string, Row> }

const pairOf = (device: Device, key: string): string => `${device.id} ${key}`

const brief = (row: Row | undefined) =>
  row && { status: row.status, reason: row.reason, attempts: row.attempts, createdAt: row.createdAt }

/** One message and one device of somebody who is, or was, in its channel. */
function verifyPair(context: Context, seen: Seen, message: Message, device: Device): void {
  const { find, count, evidence } = context
  const pair = pairOf(device, keyOf(message.channel.id, message.seq))
  const [taken, row] = [seen.taken.get(pair) ?? [], seen.rows.get(pair)]
  const what = `${message.id} to ${nameOf(device)}`
  const since = { asked: message.asked, answered: message.answered }
  if (taken.length > 0) {
    count('told')
    for (const { at } of taken) {
      const ban = banFor(message, device, Math.max(message.asked, at - staleMs), at)
      if (ban !== null) find('untold', `Told, in spite of ${ban}: ${what}`, { ...since, at }, brief(row))
    }
    return
  }
  if (row?.status === 'SUMMARISED' && row.reason !== null) {
    const summary = seen.summaries.get(row.reason)
    if (summary?.status === 'SENT') {
      count('told by a summary')
      // What was decided then is not asked again, but whether it has been read meanwhile.
      const ban = banFor(message, device, Math.max(message.asked, row.createdAt - staleMs), row.createdAt, ['DEAD'])
      if (ban !== null) find('untold', `Summed up, in spite of ${ban}: ${what}`, since, brief(row))
      return
    }
  }
  const excuse = excuseFor(message, device, message.asked, evidence.end)
  if (excuse === null) return find('told', `Not told: ${what}`, since, brief(row))
  count(`left out: ${excuse}`)
  if (row !== undefined) verifyRow(context, message, device, row, what)
  // There is a row for everybody who was a member with a device when it was looked at.
  else if (!hasNoRow.some((cause) => mayHold(cause, message, device, message.asked, evidence.end))) {
    find('log', `Left out for ${excuse}, and nothing is noted: ${what}`, since)
  }
}

/** Whoever these are true of is not even thought of. */
const hasNoRow: readonly Cause[] = ['AUTHOR', 'LEFT', 'DEAD']

/** What is noted of a push that nobody was told of. */
function verifyRow({ find, count, evidence }: Context, message: Message, device: Device, row: Row, what: string): void {
  const shown = { asked: message.asked, answered: message.answered }
  switch (row.status) {
    case 'SKIPPED': {
      const { reason } = row
      // The claim says when it was decided; a deletion strikes what is held back out later.
      const decided = row.claimedUntil === null ? null : row.claimedUntil - claimMs
      const from = decided === null ? message.asked : Math.max(message.asked, decided - staleMs)
      const isTrue = isCause(reason) && mayHold(reason, message, device, from, decided ?? evidence.end)
      if (!isTrue) find('log', `Left out for ${reason}, which was not so: ${what}`, shown, brief(row))
      return
    }
    case 'DEAD':
      if (mayHold('DEAD', message, device, message.asked, evidence.end)) return
      return find('log', `No token was dead: ${what}`, shown, brief(row))
    case 'SENT':
    case 'WITHDRAWN':
      return find('told', `Noted as sent, and the provider knows nothing of it: ${what}`, shown, brief(row))
    case 'PENDING':
    case 'HELD':
      // Nobody sends it any more; the sweep closes it.
      return count(`left ${row.status}, and no news`)
    case 'SUMMARISED':
      return count('held back, and no news by the time of the summary')
    default:
      return find('log', `Nothing was refused: ${what}`, shown, brief(row))
  }
}

/** Notices of messages that nobody has sent, or to whom it is none of their business. */
function verifyKnown({ ledger, find }: Context, shown: readonly Taken[]): void {
  const known = new Map(ledger.messages.map((message) => [keyOf(message.channel.id, message.seq), message]))
  for (const { key, device, at } of shown) {
    if (key === null) continue
    const message = known.get(key)
    if (message === undefined) {
      find('untold', `Told of a message that nobody has sent: ${key} to ${nameOf(device)}`, { at })
    } else if (!device.owner.places.has(message.channel)) {
      find('untold', `Told, and was never in the channel: ${message.id} to ${nameOf(device)}`, { at })
    }
  }
}

/** Each summary that is noted as sent was taken, and sums up what was held back, but for what was read by then. */
function verifySummaries(context: Context, shown: readonly Taken[], { summaries }: Seen): void {
  const { ledger, evidence, find, count } = context
  const sent = [...summaries.values()].filter(({ status }) => status === 'SENT' || status === 'WITHDRAWN')
  const noted = Map.groupBy(sent, (row) => row.device)
  const taken = Map.groupBy(shown.filter((one) => one.count !== null), (one) => one.device)
  const held = Map.groupBy(evidence.rows.filter((row) => row.status === 'SUMMARISED'), (row) => row.reason)
  let doubled = 0
  for (const device of new Set([...noted.keys(), ...taken.keys()])) {
    const [rows, notices] = [noted.get(device) ?? [], taken.get(device) ?? []]
    count('summaries', rows.length)
    if (notices.length < rows.length) {
      find('told', `${rows.length} summaries are noted as sent to ${nameOf(device)}, and ${notices.length} were taken`)
    }
    const most = rows.reduce((sum, row) => sum + (held.get(row.subjectId)?.length ?? 0), 0)
    // Of those that came twice only one counts, and any may be it.
    const extra = Math.max(0, notices.length - rows.length)
    doubled += extra
    const sizes = notices.map((one) => one.count!).toSorted((one, other) => one - other)
    const least = sizes.slice(0, sizes.length - extra).reduce((sum, size) => sum + size, 0)
    const greatest = sizes.slice(extra).reduce((sum, size) => sum + size, 0)
    const readsNothing = device.owner.role !== 'writer' && device.owner.role !== 'restless'
    if (!readsNothing) continue
    if (least > most) {
      find('untold', `Summaries to ${nameOf(device)} speak of ${least} messages, and ${most} were held back`)
    }
    if (greatest < most) {
      find('told', `Summaries to ${nameOf(device)} speak of ${greatest} messages, and ${most} were held back`)
    }
  }
  // Two summaries of one device may look alike, so these are only counted.
  count('summaries that came twice', doubled)
  if (doubled > ledger.lost.length + meanPerBlow * ledger.blows.length) find('once', `${doubled} summaries came twice.`)
}

function verifyDone({ evidence, find }: Context): void {
  const { outbox, jobs, laidAside } = evidence.leftovers
  if (outbox > 0) find('done', `${outbox} entries are left in the outbox.`)
  for (const job of jobs) find('done', `${job.count} jobs of the kind ${job.kind} are left, ${job.state}.`)
  for (const aside of laidAside) find('done', `A job was laid aside: ${aside}`)
  for (const complaint of new Set(evidence.complaints)) find('protocol', `A provider complains: ${complaint}`)
}

/** Who is dead is forgotten, and asked for nothing more. */
function verifyDead({ ledger, evidence, find, count }: Context): void {
  const tried = Map.groupBy(evidence.rows.filter((row) => row.status === 'DEAD'), (row) => row.device)
  for (const device of ledger.people.flatMap((person) => person.devices)) {
    if (!device.dead.now()) continue
    const attempts = tried.get(device)?.length ?? 0
    count('tokens that died')
    count('pushes to them that were under way', attempts)
    if (attempts > 0 && device.forgottenBy === null) find('dead', `Dead, and still there: ${nameOf(device)}`)
    const by = (device.forgottenBy ?? Infinity) + staleMs
    const late = evidence.rows.filter((row) => row.device === device && row.createdAt > by)
    if (late.length > 0) {
      find('dead', `Forgotten, and ${late.length} pushes were begun: ${nameOf(device)}`, late[0]!.createdAt)
    }
    const mayLive = (at: number) => device.dead.may((dead) => !dead, at, at)
    const told = evidence.taken.filter((one) => one.device === device && !mayLive(one.at))
    if (told.length > 0) find('dead', `Dead, and told: ${nameOf(device)}`, told[0]!.at)
  }
  const { requests, taken } = evidence.calm
  // That a token is dead is found out by asking for it once.
  const devices = ledger.people.flatMap((person) => person.devices)
  const unknown = devices.filter((one) => one.dead.now() && one.forgottenBy === null)
  if (requests <= taken + unknown.length) return
  find('dead', `While all was calm ${requests} requests came, and ${taken} of them were fit to be taken.`)
}

function verifyBadges({ evidence, find, count }: Context): void {
  for (const { device, badge, kind, at } of evidence.taken) {
    if (badge !== null && Number.isInteger(badge) && badge >= 0) continue
    find('badge', `${kind} to ${nameOf(device)} with ${badge}`, { at })
  }
  for (const { device, badge, unread } of evidence.icons) {
    count('icons looked at')
    if (badge !== unread) find('badge', `${nameOf(device)} shows ${badge}, and ${unread} are unread`)
  }
}
