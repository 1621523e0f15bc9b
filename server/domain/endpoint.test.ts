import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import type { ReplicaRegistry } from '../replicas/registry.ts'
import { createDeployment, patience } from '../replicas/testing/deployment.ts'
import { type RedisServer, startRedis } from '../testing/redis.ts'
import { createEndpointService, type EndpointService } from './endpoint.ts'

let redis: RedisServer
beforeAll(async () => {
  redis = await startRedis()
})
afterAll(() => redis.stop())

const urls = ['https://a.example.org', 'https://b.example.org']
let replica: ReplicaRegistry
let endpoint: EndpointService
beforeEach(async () => {
  const deployment = createDeployment(redis.url)
  onTestFinished(deployment.stop)
  const replicas = [await deployment.replica(urls[0]!), await deployment.replica(urls[1]!)]
  await vi.waitUntil(() => replicas.every((each) => each.members()?.length === 2), patience)
  replica = replicas[0]!
  endpoint = createEndpointService({ replicas: replica, publicUrl: () => 'https://chat.example.org', socketsPerUser: 3 })
})

/** How many are expected, in all. */
const expected = () => replica.members()!.reduce((sum, { load }) => sum + load, 0)

test('nobody is expected who is not signed in: they cannot keep a socket', () => {
  for (let nth = 0; nth < 20; nth++) endpoint.find(null, `192.0.2.${nth}`)
  expect(expected()).toBe(0)
  endpoint.find('7', '192.0.2.1')
  expect(expected()).toBe(1)
})

test('a viewer who asks and asks is expected no more often than a replica takes them', () => {
  const { url } = endpoint.find('7', '')
  for (let nth = 0; nth < 600; nth++) expect(endpoint.find('7', '').url).toBe(url)
  expect(expected()).toBe(3)
  endpoint.find('8', '')
  expect(expected()).toBe(4)
})
