import type { Fault } from './entry.ts'
import type { Summary } from './import-log.ts'

/** What an import has done, for people. */
export function describeSummary(summary: Summary, source: string, seconds: number): string {
  const { written, faults, late } = summary
  const rate = number(Math.round(written.messages / Math.max(seconds, 0.001)))
  const before = number(summary.messages - written.messages)
  const skipped = faults.filter((fault) => fault.skipped).length
  const unlinked = faults.length - skipped
  const lines = [
    `Imported "${source}" (${summary.format}) in ${seconds.toFixed(1)} s: ` +
      `${number(written.messages)} messages, ${rate} a second.`,
    row('messages', written.messages, `${before} were in before`),
    row('people', written.people, 'new ones'),
    row('channels', summary.channels, 'all of the log'),
    row('replies', written.replies, late > 0 && `${number(late)} of the log dated before what they answer`),
    row('mentions', written.mentions),
    row('actions', written.actions),
    row('blank', written.blank, written.blank > 0 && 'stored as deleted'),
    row('skipped', skipped),
    row('unlinked', unlinked, unlinked > 0 && 'what they answer is not in the log'),
  ]
  return [...lines, ...(faults.length > 0 ? [listFaults(faults)] : [])].join('\n') + '\n'
}

const number = (value: number) => value.toLocaleString('en')

const row = (name: string, value: number, note: string | false = false) =>
  `  ${name.padEnd(9)}${number(value).padStart(9)}${note === false ? '' : `  (${note})`}`

/** Faults that are shown: enough to see what is wrong with all of them. */
const maxShown = 20

function listFaults(faults: readonly Fault[]): string {
  const shown = faults.slice(0, maxShown).map(({ line, problem }) => `line ${line}: ${problem}`)
  return [...shown, ...(faults.length > maxShown ? [`… and ${faults.length - maxShown} more.`] : [])].join('\n')
}

/** Why a log is not imported, and what to do about it. */
export const describeFaults = (faults: readonly Fault[]): string =>
  `Nothing was imported, for ${faults.length === 1 ? 'a line is' : `${number(faults.length)} lines are`} not as ` +
  `they should be:\n${listFaults(faults)}\nMend them, or leave them out with --skip-bad.`
