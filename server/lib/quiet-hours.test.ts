import { describe, expect, test } from 'vitest'
import { isQuiet, isTimeZone, minutesOf, type QuietHours, quietUntil } from './quiet-hours.ts'

const night = (timeZone: string | null, start = '22:00', end = '08:00'): QuietHours => ({
  quietHoursStart: start,
  quietHoursEnd: end,
  timeZone,
})

test.each([
  // Over midnight, in a zone without summer time: 22:00 in Seoul is 13:00 UTC.
  ['Asia/Seoul', '22:00', '08:00', '2026-06-01T12:59:59.999Z', null],
  ['Asia/Seoul', '22:00', '08:00', '2026-06-01T13:00:00Z', '2026-06-01T23:00:00Z'],
  ['Asia/Seoul', '22:00', '08:00', '2026-06-01T22:59:59.999Z', '2026-06-01T23:00:00Z'],
  ['Asia/Seoul', '22:00', '08:00', '2026-06-01T23:00:00Z', null],
  // Within a day, from midnight, up to midnight, a single minute.
  ['Asia/Seoul', '12:00', '13:30', '2026-06-01T04:00:30Z', '2026-06-01T04:30:00Z'],
  ['UTC', '00:00', '06:00', '2026-06-01T00:00:00Z', '2026-06-01T06:00:00Z'],
  ['UTC', '18:00', '00:00', '2026-06-01T23:59:00Z', '2026-06-02T00:00:00Z'],
  ['UTC', '23:59', '00:00', '2026-06-01T23:59:59Z', '2026-06-02T00:00:00Z'],
  [null, '22:00', '08:00', '2026-06-01T23:00:00Z', '2026-06-02T08:00:00Z'],
  // New York puts the clock forward on 8 March 2026, from 02:00 EST (07:00 UTC): this night has an hour less.
  ['America/New_York', '22:00', '08:00', '2026-03-08T03:00:00Z', '2026-03-08T12:00:00Z'],
  ['America/New_York', '22:00', '08:00', '2026-03-07T03:00:00Z', '2026-03-07T13:00:00Z'],
  // The end is put forward over: half past two is not on the clock that night.
  ['America/New_York', '22:00', '02:30', '2026-03-08T06:59:00Z', '2026-03-08T07:00:00Z'],
  ['America/New_York', '22:00', '02:30', '2026-03-08T07:00:00Z', null],
  // The start is: from 03:00 on it is within.
  ['America/New_York', '02:30', '05:00', '2026-03-08T07:00:00Z', '2026-03-08T09:00:00Z'],
  // And back on 1 November, from 02:00 EDT (06:00 UTC): half past one is there twice.
  ['America/New_York', '22:00', '08:00', '2026-11-01T03:00:00Z', '2026-11-01T13:00:00Z'],
  ['America/New_York', '22:00', '01:30', '2026-11-01T05:00:00Z', '2026-11-01T05:30:00Z'],
  ['America/New_York', '22:00', '01:30', '2026-11-01T05:30:00Z', null],
  ['America/New_York', '22:00', '01:30', '2026-11-01T06:15:00Z', '2026-11-01T06:30:00Z'],
  ['America/New_York', '01:30', '01:45', '2026-11-01T06:35:00Z', '2026-11-01T06:45:00Z'],
  // Lord Howe changes by half an hour: forward on 4 October 2026 from 02:00 (15:30 UTC), back on 5 April from 02:00.
  ['Australia/Lord_Howe', '22:00', '08:00', '2026-10-03T12:00:00Z', '2026-10-03T21:00:00Z'],
  ['Australia/Lord_Howe', '22:00', '02:15', '2026-10-03T15:29:00Z', '2026-10-03T15:30:00Z'],
  ['Australia/Lord_Howe', '22:00', '01:45', '2026-04-04T14:30:00Z', '2026-04-04T14:45:00Z'],
  ['Australia/Lord_Howe', '22:00', '01:45', '2026-04-04T15:10:00Z', '2026-04-04T15:15:00Z'],
])('in %s, quiet from %s to %s, at %s: until %s', (timeZone, start, end, at, until) => {
  const settings = night(timeZone, start, end)
  expect(quietUntil(settings, new Date(at))?.toISOString() ?? null).toBe(until?.replace(/Z$/, '.000Z') ?? null)
  expect(isQuiet(settings, new Date(at))).toBe(until !== null)
})

test('there are none where they are not set, begin and end alike, or are no times', () => {
  const at = new Date('2026-06-01T23:00:00Z')
  for (const [start, end] of [[null, null], ['22:00', null], [null, '08:00'], ['08:00', '08:00'], ['25:00', '08:00']]) {
    const settings = { quietHoursStart: start!, quietHoursEnd: end!, timeZone: 'Asia/Seoul' }
    expect([isQuiet(settings, at), quietUntil(settings, at)]).toEqual([false, null])
  }
})

test('a zone that this machine does not know is UTC', () => {
  expect(quietUntil(night('Mars/Olympus'), new Date('2026-06-01T23:00:00Z'))).toEqual(new Date('2026-06-02T08:00:00Z'))
  expect(['Asia/Seoul', 'Etc/GMT+9', 'UTC'].map(isTimeZone)).toEqual([true, true, true])
  expect(['+09:00', 'Mars/Olympus', '', 'a\0', 'Asia/Seoul '].filter(isTimeZone)).toEqual([])
})

describe('any hours, anywhere, at any time around the changes of the clocks', () => {
  /** The times of day that a wall clock shows, by another way than the code: as text, minute by minute. */
  const wall = new Map<string, Intl.DateTimeFormat>()
  const zones = [
    'America/New_York', 'Asia/Seoul', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'Africa/Casablanca', 'Pacific/Apia',
  ]
  for (const timeZone of zones) {
    const shown = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const
    wall.set(timeZone, new Intl.DateTimeFormat('de', { timeZone, ...shown }))
  }
  // A linear congruential generator (Numerical Recipes), so that a failure can be seen again.
  let state = 20260607
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  const time = () => `${String(random(24)).padStart(2, '0')}:${String(random(60)).padStart(2, '0')}`
  /** Days with a change somewhere, and some without. */
  const days = ['2026-03-08', '2026-11-01', '2026-10-03', '2026-04-04', '2026-02-15', '2026-03-22', '2026-06-01']

  test.each(zones)('in %s it is quiet when the wall clock says so, up to the moment that is given', (timeZone) => {
    for (let round = 0; round < 150; round++) {
      const [start, end] = [time(), time()]
      const settings = night(timeZone, start, end)
      const at = new Date(Date.parse(`${days[random(days.length)]}T00:00:00Z`) + random(36 * 3_600_000))
      const shown = (moment: Date) => wall.get(timeZone)!.format(moment)
      const expected = (moment: Date) => {
        const [isAfterStart, isBeforeEnd] = [shown(moment) >= start, shown(moment) < end]
        return start < end ? isAfterStart && isBeforeEnd : start !== end && (isAfterStart || isBeforeEnd)
      }
      const until = quietUntil(settings, at)
      expect(isQuiet(settings, at)).toBe(expected(at))
      expect(until !== null).toBe(expected(at))
      if (until === null) continue
      expect(expected(until)).toBe(false)
      // To the minute: the one before is still within, and so is each on the way there.
      for (let moment = at.getTime(); moment < until.getTime(); moment += 60_000) {
        if (expected(new Date(moment))) continue
        expect.fail(`${timeZone} ${start}–${end} at ${at.toISOString()}: ${until.toISOString()} is late`)
      }
    }
  })
})

test('a time has two digits each', () => {
  expect(['00:00', '23:59', '08:30'].map(minutesOf)).toEqual([0, 1_439, 510])
  for (const time of ['24:00', '8:30', '08:60', '08:30:00', ' 08:30', '', null]) expect(minutesOf(time)).toBeNull()
})
