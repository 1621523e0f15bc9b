import { expect, test } from 'vitest'
import { createAdmission, readsAtOnce } from './admission.ts'

/** Something that goes on until it is told to end. */
function openEnded() {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  return { promise, end: resolve, fail: reject }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

test('so many go on at once and no more, and what fails makes room like what succeeds', async () => {
  const admission = createAdmission({ atOnce: 2 })
  const work = Array.from({ length: 5 }, openEnded)
  const begun: number[] = []
  const all = Promise.allSettled(
    work.map((each, nth) =>
      admission.run('alice', () => {
        begun.push(nth)
        return each.promise
      }),
    ),
  )
  expect([begun, admission.running(), admission.waiting()]).toEqual([[0, 1], 2, 3])
  work[1]!.fail(new Error('too bad'))
  await settled()
  expect([begun, admission.running(), admission.waiting()]).toEqual([[0, 1, 2], 2, 2])
  for (const { end } of work) end()
  expect((await all).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled'])
  expect([begun, admission.running(), admission.waiting()]).toEqual([[0, 1, 2, 3, 4], 0, 0])
  expect(await admission.run('alice', async () => 'again')).toBe('again')
})

test('the turns go round those who wait, and each has theirs in the order in which they came', async () => {
  const admission = createAdmission({ atOnce: 1 })
  const first = openEnded()
  const order: string[] = []
  const ask = (who: string, what: string) => admission.run(who, async () => void order.push(what))
  const all = [admission.run('alice', () => first.promise)]
  for (let nth = 1; nth <= 4; nth++) all.push(ask('alice', `alice ${nth}`))
  for (let nth = 1; nth <= 2; nth++) all.push(ask('bob', `bob ${nth}`))
  all.push(ask('carol', 'carol 1'))
  first.end()
  await Promise.all(all)
  expect(order).toEqual(['alice 1', 'bob 1', 'carol 1', 'alice 2', 'bob 2', 'alice 3', 'alice 4'])
})

test('who goes away leaves the queue, and nothing is done for them', async () => {
  const admission = createAdmission({ atOnce: 1 })
  const first = openEnded()
  const order: string[] = []
  const leaving = new AbortController()
  const all = [admission.run('alice', () => first.promise)]
  const left = [1, 2].map((nth) => admission.run('bob', async () => void order.push(`bob ${nth}`), leaving.signal))
  all.push(admission.run('bob', async () => void order.push('bob 3')))
  all.push(admission.run('carol', async () => void order.push('carol')))
  expect(admission.waiting()).toBe(4)
  leaving.abort(new Error('gone'))
  for (const each of left) await expect(each).rejects.toThrow('gone')
  expect(admission.waiting()).toBe(2)
  await expect(admission.run('bob', async () => {}, leaving.signal)).rejects.toThrow('gone')
  first.end()
  await Promise.all(all)
  expect(order).toEqual(['bob 3', 'carol'])
  // Who has had their turn is not called back.
  const late = new AbortController()
  const running = openEnded()
  const done = admission.run('alice', () => running.promise, late.signal)
  late.abort()
  running.end()
  await done
  expect([admission.running(), admission.waiting()]).toEqual([0, 0])
})

test('beyond a bound whoever comes is sent away, with the time to come back', async () => {
  const admission = createAdmission({ atOnce: 1, maxWaiting: 2 })
  const first = openEnded()
  const all = [admission.run('alice', () => first.promise)]
  for (let nth = 0; nth < 2; nth++) {
    admission.check()
    all.push(admission.run('bob', async () => {}))
  }
  let refusal: unknown
  try {
    admission.check()
  } catch (error) {
    refusal = error
  }
  expect(refusal).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: expect.any(Number) })
  expect((refusal as { retryAfterMs: number }).retryAfterMs).toBeGreaterThanOrEqual(1_000)
  // Who is in already goes on reading.
  all.push(admission.run('carol', async () => {}))
  first.end()
  await Promise.all(all)
  admission.check()
})

test('how many wait, and for how long, can be watched', async () => {
  const counts: number[] = []
  const waits: number[] = []
  const admission = createAdmission({
    atOnce: 1,
    onWaiting: (count) => counts.push(count),
    onAdmitted: (milliseconds) => waits.push(milliseconds),
  })
  const first = openEnded()
  const all = [admission.run('alice', () => first.promise), ...['bob', 'carol'].map((who) => admission.run(who, async () => {}))]
  await new Promise((resolve) => setTimeout(resolve, 20))
  first.end()
  await Promise.all(all)
  expect(counts).toEqual([1, 2, 1, 0])
  expect(waits[0]).toBe(0)
  expect(waits.slice(1).map((wait) => wait >= 15)).toEqual([true, true])
})

test('half of the connections are for those who come back, and one at least', () => {
  expect([1, 2, 3, 10, 1_000].map(readsAtOnce)).toEqual([1, 1, 1, 5, 500])
})
