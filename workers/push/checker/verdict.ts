import type { Evidence } from './evidence.ts'
import type { Device, Ledger } from './ledger.ts'

/** The promises that are watched over, by name. */
export type Promised =
  | 'told' // each device that should be told of a message is told of it
  | 'untold' // nobody else is
  | 'once' // none twice, but for what was in flight when a worker ended, or when an answer was lost
  | 'replaced' // what comes twice takes its own place on the device
  | 'log' // what became of each is noted, and true
  | 'done' // no job is left, nor laid aside
  | 'dead' // a token that is dead is forgotten, and left alone
  | 'badge' // the number is what is unread, and never less than nothing
  | 'protocol' // providers have nothing to complain of

/** Something that must not be. */
export type Finding = { kind: Promised; text: string }

export type Verdict = { findings: Finding[]; counts: Map<string, number> }

/** What all parts of the look share. */
export type Context = {
  ledger: Ledger
  evidence: Evidence
  find(kind: Promised, what: string, ...shown: unknown[]): void
  count(what: string, by?: number): void
}

export const spell = (value: unknown): string => JSON.stringify(value)

export const nameOf = (device: Device): string =>
  `${device.owner.username}’s ${device.platform} (${device.owner.role}, ${device.id})`
