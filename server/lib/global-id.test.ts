import { expect, test } from 'vitest'
import { channelGlobalId, deviceGlobalId, messageGlobalId, parseGlobalId, userGlobalId } from './global-id.ts'

const snowflakes = ['1', '36', '3563000000000000000', (2n ** 63n - 1n).toString()]

test('an id leads back to what it names', () => {
  for (const one of snowflakes) {
    expect(parseGlobalId(userGlobalId(one))).toEqual({ type: 'User', userId: one })
    expect(parseGlobalId(channelGlobalId(one))).toEqual({ type: 'Channel', channelId: one })
    for (const other of snowflakes) {
      expect(parseGlobalId(messageGlobalId(one, other))).toEqual({ type: 'Message', channelId: one, messageId: other })
      expect(parseGlobalId(deviceGlobalId(one, other))).toEqual({ type: 'Device', userId: one, deviceId: other })
    }
  }
})

test('ids of different things differ', () => {
  const ids = snowflakes.flatMap((one) => [
    userGlobalId(one),
    channelGlobalId(one),
    ...snowflakes.flatMap((other) => [messageGlobalId(one, other), deviceGlobalId(one, other)]),
  ])
  expect(new Set(ids).size).toBe(ids.length)
})

test('what was never given out is no id', () => {
  const beyond = (2n ** 63n).toString(36)
  const garbage = [
    '', 'u', 'c', 'm', 'x1', '1', 'u_', 'u1_2', 'c1_2', 'm1', 'm1_', 'm_1', 'm1_2_3', 'd1', 'd1_', 'd1_2_3',
    'U1', 'uA', 'u-1', 'u 1', 'u1 ', ' u1',
    'u1.5', 'u１', 'uñ', 'u\u0000', `u${beyond}`, `m1_${beyond}`, `u${'z'.repeat(13)}`, `c${'1'.repeat(5_000)}`, '🪵', 'null',
  ]
  for (const id of garbage) expect([id, parseGlobalId(id)]).toEqual([id, null])
})
