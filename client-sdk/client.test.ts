import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from 'vitest'
import { createMaruClient, MarkReadDocument, MaruClientError, type UserFragment, ViewerDocument } from './index.ts'
import { ToyServer } from './testing/toy-server.ts'

describe('client.request', () => {
  let server: ToyServer
  beforeEach(async () => void (server = await new ToyServer().start()))
  afterEach(() => server.stop())

  it('gives data of the type that the document says, fragments included', async () => {
    const { accessToken } = server.issueTokens()
    const client = createMaruClient({ url: server.url, token: () => accessToken })
    const { viewer } = await client.request(ViewerDocument)
    expectTypeOf(viewer).toEqualTypeOf<UserFragment | null>()
    expect(viewer?.displayName).toBe('Alice')
  })

  it('is anonymous without a token', async () => {
    const client = createMaruClient({ url: server.url })
    expect(await client.request(ViewerDocument)).toEqual({ viewer: null })
  })

  it('asks for variables where the document requires them', () => {
    const client = createMaruClient({ url: server.url })
    // @ts-expect-error: channelId and seq are missing
    const ask = () => client.request(MarkReadDocument)
    expect(ask).toBeTypeOf('function')
  })

  it('throws what the server says, whole', async () => {
    const client = createMaruClient({ url: server.url })
    const asked = client.request(MarkReadDocument, { channelId: 'general', seq: -1 })
    await expect(asked).rejects.toMatchObject({
      name: 'MaruClientError',
      code: 'BAD_USER_INPUT',
      field: 'seq',
      retryAfterMs: 7,
      requestId: 'request-1',
      retryable: false,
      errors: [{ path: ['markRead'] }],
    })
  })

  it('asks for another token when the server refuses one, and makes the request again', async () => {
    const stale = server.issueTokens().accessToken
    server.expireAccessTokens()
    const fresh = server.issueTokens().accessToken
    const client = createMaruClient({ url: server.url, token: (refused) => (refused === stale ? fresh : stale) })
    expect((await client.request(ViewerDocument)).viewer).not.toBeNull()
    expect(server.requests).toEqual(['Viewer', 'Viewer'])
  })

  it('gives up when there is no other token, and says so once', async () => {
    let expired = 0
    const client = createMaruClient({ url: server.url, token: () => 'never good', onAuthExpired: () => expired++ })
    await expect(client.request(ViewerDocument)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
    expect(expired).toBe(1)
    expect(server.requests).toEqual(['Viewer'])
  })

  it('throws what the signal says when it is aborted', async () => {
    server.hold = new Promise(() => {})
    const client = createMaruClient({ url: server.url })
    const leaving = new AbortController()
    const asked = client.request(ViewerDocument, {}, { signal: leaving.signal })
    leaving.abort()
    await expect(asked).rejects.toMatchObject({ name: 'AbortError' })
  })

  it('does not wait for ever', async () => {
    server.hold = new Promise(() => {})
    const client = createMaruClient({ url: server.url, timeoutMs: 20 })
    await expect(client.request(ViewerDocument)).rejects.toMatchObject({ code: 'NETWORK', retryable: true })
  })
})

describe('without a Maru server', () => {
  it('tells that nobody is there', async () => {
    const client = createMaruClient({ url: 'http://127.0.0.1:1/graphql' })
    const failure = await client.request(ViewerDocument).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(MaruClientError)
    expect(failure).toMatchObject({ code: 'NETWORK', retryable: true })
  })

  it.each([
    ['text/html', '<h1>Bad gateway</h1>'],
    ['application/json', '{"message":"Bad gateway"}'],
  ])('tells when a proxy answers with %s', async (contentType, body) => {
    const proxy = createServer((_, response) => response.writeHead(502, { 'content-type': contentType }).end(body))
    await once(proxy.listen(0, '127.0.0.1'), 'listening')
    const client = createMaruClient({ url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/graphql` })
    await expect(client.request(ViewerDocument)).rejects.toMatchObject({
      code: 'NETWORK',
      message: expect.stringContaining('502'),
    })
    proxy.close()
  })
})
