import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createTurns } from './turns.ts'

test('work under one key happens in turn, whatever becomes of what came before; other keys do not wait', async () => {
  const turns = createTurns(5_000)
  const told: string[] = []
  const work = (name: string, fails = false) => async () => {
    told.push(`${name} begins`)
    await sleep(5)
    told.push(`${name} ends`)
    if (fails) throw new Error(name)
    return name
  }
  const answers = await Promise.allSettled([
    turns.take('tea', work('a', true)),
    turns.take('tea', work('b')),
    turns.take('coffee', work('c')),
  ])
  expect(answers.map((answer) => answer.status)).toEqual(['rejected', 'fulfilled', 'fulfilled'])
  expect(told.indexOf('b begins')).toBeGreaterThan(told.indexOf('a ends'))
  expect(told.indexOf('c begins')).toBeLessThan(told.indexOf('a ends'))
})

test('who waits too long is told so and has changed nothing', async () => {
  const turns = createTurns(10)
  let ran = false
  const first = turns.take('tea', () => sleep(50))
  const second = turns.take('tea', async () => {
    ran = true
  })
  await expect(second).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await first
  expect(ran).toBe(false)
  await expect(turns.take('tea', async () => 'free again')).resolves.toBe('free again')
})
