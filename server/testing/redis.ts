import { type RedisServer, startRedisProcess } from './redis-process.ts'

export type { RedisServer } from './redis-process.ts'

/**
 * A Redis for tests that only use one: the one at TEST_REDIS_URL, or else one of their own. `stop` ends only the latter.
 */
export async function findRedis(): Promise<{ url: string; stop(): Promise<void> }> {
  const given = process.env.TEST_REDIS_URL
  return given === undefined || given === '' ? startRedis() : { url: given, stop: async () => {} }
}

/** A Redis of the test's own, on a free port of this machine. */
export const startRedis = (): Promise<RedisServer> => startRedisProcess()
