import { expect, test } from 'vitest'
import { hashPassword, verifyPassword } from './passwords.ts'

test('a password is known again, and no other is', async () => {
  const hashed = await hashPassword('마루에 앉아서')
  expect(hashed).toMatch(/^\$argon2id\$/)
  expect(await verifyPassword(hashed, '마루에 앉아서')).toBe(true)
  expect(await verifyPassword(hashed, '마루에 누워서')).toBe(false)
})

test('a flood of passwords is turned away before it holds up everything else, and leaves nothing behind', async () => {
  const hashed = await hashPassword('secret')
  const answers = await Promise.allSettled(Array.from({ length: 200 }, () => verifyPassword(hashed, 'secret')))
  const refused = answers.filter((answer) => answer.status === 'rejected')
  expect(refused.length).toBeGreaterThan(100)
  for (const { reason } of refused) expect(reason).toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: 2_000 })
  expect(answers.filter((answer) => answer.status === 'fulfilled' && answer.value)).toHaveLength(200 - refused.length)
  expect(await verifyPassword(hashed, 'secret')).toBe(true)
})
