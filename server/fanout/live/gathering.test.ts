import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, test } from 'vitest'
import { createGathering, type Gathering } from './gathering.ts'

let gathering: Gathering
const errors: unknown[] = []
beforeEach(() => {
  errors.length = 0
  gathering = createGathering((error) => errors.push(error))
})

/** Keeps the event loop busy, as sending to thousands does. */
function work(milliseconds: number) {
  const end = performance.now() + milliseconds
  while (performance.now() < end);
}

describe('a round', () => {
  test('comes when the turn of whoever has something to send is over, and once for all who have', async () => {
    const sent: string[] = []
    gathering.add({ send: () => sent.push('first') })
    gathering.add({ send: () => sent.push('second') })
    expect(sent).toEqual([])
    await gathering.nextRound()
    expect(sent).toEqual(['first', 'second'])
    await gathering.nextRound()
    expect(sent).toEqual(['first', 'second'])
  })

  test('is also that of those who are added by who sends, and is over after them', async () => {
    const sent: string[] = []
    const socket = { send: () => sent.push('socket') }
    gathering.add({
      send() {
        sent.push('audience')
        gathering.add(socket)
      },
    })
    await gathering.nextRound()
    expect(sent).toEqual(['audience', 'socket'])
  })

  test('goes on where one of them fails', async () => {
    const sent: string[] = []
    gathering.add({
      send() {
        throw new Error('a fault')
      },
    })
    gathering.add({ send: () => sent.push('sent') })
    await gathering.nextRound()
    expect(sent).toEqual(['sent'])
    expect(errors).toMatchObject([{ message: 'a fault' }])
  })

  test('that took long is followed by a pause, in which more gathers; no longer than some milliseconds', async () => {
    const rounds: number[][] = []
    let gathered: number[] = []
    const sender = {
      send() {
        rounds.push(gathered)
        gathered = []
        work(20)
      },
    }
    for (let number = 0; number < 40; number++) {
      if (gathered.push(number) === 1) gathering.add(sender)
      // Each in a turn of its own.
      await new Promise((resolve) => setImmediate(resolve))
    }
    await gathering.nextRound()
    expect(rounds.flat()).toEqual(Array.from({ length: 40 }, (_, number) => number))
    // Without the pause there would be one for each, and without an end to it there would be one.
    expect(rounds.length).toBeLessThan(20)
    expect(rounds.length).toBeGreaterThan(1)
  })

  test('follows at once where the one before it was short', async () => {
    let rounds = 0
    for (let number = 0; number < 100; number++) {
      gathering.add({ send: () => rounds++ })
      await new Promise((resolve) => setImmediate(resolve))
      await gathering.nextRound()
    }
    expect(rounds).toBe(100)
  })

  test('leaves the event loop to others, however much there is to send', async () => {
    let isOver = false
    const sender = {
      send() {
        work(2)
        if (!isOver) setImmediate(() => gathering.add(sender))
      },
    }
    gathering.add(sender)
    let turns = 0
    for (const end = performance.now() + 200; performance.now() < end; turns++) await sleep(1)
    isOver = true
    await gathering.nextRound()
    expect(turns).toBeGreaterThan(10)
  })
})
