/** When somebody wants no sound: local times as in 22:00, both or none, and the zone that they are of. */
export type QuietHours = {
  quietHoursStart: string | null
  quietHoursEnd: string | null
  /** A zone of the IANA's database; null, or one that this machine does not know, is UTC. */
  timeZone: string | null
}

const minuteMs = 60_000
const minutesOfDay = 24 * 60

/**
 * Whether the clock on this person's wall stands within their quiet hours: from the start on, and before the end. They
 * may reach over midnight. Where they begin and end alike, or are not set, there are none.
 */
export function isQuiet(settings: QuietHours, at: Date): boolean {
  const hours = hoursOf(settings)
  return hours !== null && isWithin(hours, timeOfDay(settings.timeZone, at.getTime()))
}

/**
 * When these quiet hours are over that `at` lies in: the first moment after it that is not quiet. Null where `at` is
 * not quiet itself. Where the clock is put forward over the end, they are over when it is; where it is put back over the
 * end, they are over the first time, and begin once more with the hour that comes twice.
 */
export function quietUntil(settings: QuietHours, at: Date): Date | null {
  const hours = hoursOf(settings)
  if (hours === null || !isQuiet(settings, at)) return null
  const { timeZone } = settings
  let from = Math.floor(at.getTime() / minuteMs) * minuteMs
  for (;;) {
    const left = (hours.end - timeOfDay(timeZone, from) + minutesOfDay) % minutesOfDay
    const until = from + left * minuteMs
    const change = firstChange(timeZone, from, until)
    if (change === null) return new Date(until)
    if (!isWithin(hours, timeOfDay(timeZone, change))) return new Date(change)
    from = change
  }
}

type Hours = { start: number; end: number }

/** Quiet hours in minutes from midnight; null for none. */
function hoursOf({ quietHoursStart, quietHoursEnd }: QuietHours): Hours | null {
  const [start, end] = [minutesOf(quietHoursStart), minutesOf(quietHoursEnd)]
  return start === null || end === null || start === end ? null : { start, end }
}

/** Minutes from midnight of a local time such as 22:00; null where it is none. */
export function minutesOf(time: string | null): number | null {
  const parts = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(time ?? '')
  return parts === null ? null : Number(parts[1]) * 60 + Number(parts[2])
}

const isWithin = ({ start, end }: Hours, minute: number): boolean =>
  start < end ? minute >= start && minute < end : minute >= start || minute < end

/** When, to the minute, the clocks of a zone are changed first after `from` and up to `to`; null if never. */
function firstChange(timeZone: string | null, from: number, to: number): number | null {
  const before = offsetAt(timeZone, from)
  // Clocks are not changed twice within a day: the offset at the end tells.
  if (offsetAt(timeZone, to) === before) return null
  let [unchanged, changed] = [from, to]
  while (changed - unchanged > minuteMs) {
    const middle = unchanged + Math.floor((changed - unchanged) / 2 / minuteMs) * minuteMs
    if (offsetAt(timeZone, middle) === before) unchanged = middle
    else changed = middle
  }
  return changed
}

/** Minutes from midnight that the clocks of a zone show. */
const timeOfDay = (timeZone: string | null, at: number): number =>
  ((Math.floor(at / minuteMs) + offsetAt(timeZone, at)) % minutesOfDay + minutesOfDay) % minutesOfDay

/** By how many minutes the clocks of a zone are ahead of UTC. */
function offsetAt(timeZone: string | null, at: number): number {
  if (timeZone === null) return 0
  const parts = Object.fromEntries(clockOf(timeZone).formatToParts(at).map(({ type, value }) => [type, Number(value)]))
  const { year, month, day, hour, minute } = parts as Record<'year' | 'month' | 'day' | 'hour' | 'minute', number>
  return Math.round(Date.UTC(year, month - 1, day, hour, minute) / minuteMs) - Math.floor(at / minuteMs)
}

/** Formatters by zone: making one costs as much as using it a hundred times, and there are a few hundred zones. */
const clocks = new Map<string, Intl.DateTimeFormat>()

function clockOf(timeZone: string): Intl.DateTimeFormat {
  const known = clocks.get(timeZone)
  if (known !== undefined) return known
  const clock = createClock(isTimeZone(timeZone) ? timeZone : 'UTC')
  clocks.set(timeZone, clock)
  return clock
}

const createClock = (timeZone: string) =>
  new Intl.DateTimeFormat('en', {
    timeZone,
    calendar: 'iso8601',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
  })

/** Whether this is the name of a zone that Node knows. Bare offsets such as +09:00 are none: they know no summer. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false
  try {
    return Boolean(new Intl.DateTimeFormat('en', { timeZone: name }))
  } catch {
    return false
  }
}
