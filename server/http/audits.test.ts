import { serverAudits } from 'graphql-http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestServer } from './test-server.ts'
import type { TestServer } from './test-server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startTestServer()
})
afterAll(() => server.drain(0))

describe('GraphQL over HTTP', () => {
  const audits = serverAudits({ url: () => server.graphql })

  test('there are as many audits as there were', () => {
    expect(audits.length).toBeGreaterThanOrEqual(61)
  })

  test.each(audits.map((audit) => [audit.id, audit.name, audit] as const))('%s %s', async (_id, _name, audit) => {
    const result = await audit.fn()
    expect(result).toMatchObject({ status: 'ok' })
  })
})
