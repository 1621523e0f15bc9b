import { parse } from 'graphql'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { exampleDocument, exampleVariables } from './graphiql-example.ts'
import { send, startTestServer } from './test-server.ts'
import type { Answer, TestServer } from './test-server.ts'

let server: TestServer
let page: Answer
beforeAll(async () => {
  server = await startTestServer()
  const accept = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
  page = await send(`${server.graphql}?query={hello}`, { headers: { accept } })
})
afterAll(() => server.drain(0))

describe('GraphiQL', () => {
  test('is a page for browsers, and for nobody else', async () => {
    expect(page).toMatchObject({ status: 200, headers: { 'content-type': 'text/html; charset=utf-8' } })
    expect(await send(`${server.graphql}?query={hello}`)).toMatchObject({ json: { data: { hello: 'world' } } })
  })

  test('fetches nothing from anywhere', () => {
    expect(page.text.match(/<(script|link|img|iframe)[^>]*\s(src|href)=["']?(https?:)?\/\/[^"']*/g)).toBeNull()
    expect(page.text.match(/@import|url\(['"]?(https?:)?\/\/[^)]*\)/g)).toBeNull()
  })

  test('may do nothing but what it brings along', () => {
    const policy = String(page.headers['content-security-policy'])
    expect(policy).toContain("default-src 'none'")
    expect(policy).toMatch(/script-src 'sha256-[\w+/]{43}='/)
    expect(policy).toContain("connect-src 'self'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toMatch(/unsafe-eval|script-src[^;]*unsafe|https?:/)
  })

  test('opens on an example of named operations, by WebSocket, and says that it is GraphiQL', () => {
    const options = page.text.slice(page.text.lastIndexOf('{"title":'))
    expect(options).toContain('"subscriptionsProtocol":"WS"')
    expect(options).toContain('"x-maru-graphiql":"1"')
    expect(options).toContain('"shouldPersistHeaders":false')
    expect(options).toContain('mutation SignUp')
    const operations = parse(exampleDocument).definitions.map((definition) =>
      definition.kind === 'OperationDefinition' ? definition.name?.value : 'nothing else',
    )
    expect(operations).toEqual([
      'SignUp',
      'SignIn',
      'Inbox',
      'CreateChannel',
      'SendMessage',
      'Channels',
      'PublicChannels',
      'JoinChannel',
    ])
    expect(JSON.parse(exampleVariables)).toEqual({ channelId: '' })
  })
})
