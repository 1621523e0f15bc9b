import { createServer, type RequestListener } from 'node:http'
import { createServer as createRawServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { createOutbound, type Outbound, type OutboundOptions, type OutboundRequest } from './outbound.ts'

const limits: OutboundRequest = { timeoutMs: 5_000, maxBytes: 10_000 }

async function opened(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

/** A server on loopback. Returns its port, and what it was asked for: method and path. */
async function serve(listener: RequestListener) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    listener(request, response)
  })
  const port = await opened(server)
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port, asked, url: `http://localhost:${port}` }
}

/** A server that writes by hand. `closed` resolves when its first visitor has hung up. */
async function serveRaw(answer: (socket: Socket) => void) {
  const { promise: closed, resolve } = Promise.withResolvers<void>()
  const sockets = new Set<Socket>()
  const server = createRawServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => resolve())
    socket.once('data', () => answer(socket))
  })
  const port = await opened(server)
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { port, closed, url: `http://localhost:${port}` }
}

const open: Outbound[] = []
function outbound(options: Partial<OutboundOptions> = {}): Outbound {
  const made = createOutbound({ userAgent: 'MaruBot/1.0', ...options })
  open.push(made)
  return made
}

afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()))
})

const reason = (promise: Promise<unknown>) =>
  promise.then(
    () => 'answered',
    (error: { reason: string }) => error.reason,
  )

describe('names', () => {
  test('one private address among public ones is enough to refuse', async () => {
    const resolve = async () => [{ address: '2d00::1', family: 6 }, { address: '127.0.0.1', family: 4 }]
    expect(await reason(outbound({ resolve }).fetch('http://two-faced.example', limits))).toBe('refused')
  })

  test('a name that has another answer a moment later is asked once, and the first answer is what counts', async () => {
    let lookups = 0
    // 2d00::/8 is given to nobody: the connection fails, and must not go where the second answer points.
    const resolve = async () => [lookups++ === 0 ? { address: '2d00::1', family: 6 } : { address: '127.0.0.1', family: 4 }]
    const rebinding = outbound({ resolve })
    const first = await reason(rebinding.fetch('http://rebind.example', { ...limits, timeoutMs: 300 }))
    expect(['failed', 'timeout']).toContain(first)
    expect(lookups).toBe(1)
    expect(await reason(rebinding.fetch('http://rebind.example', limits))).toBe('refused')
    expect(lookups).toBe(2)
  })

  test('a name without an address, or that is not known, fails', async () => {
    expect(await reason(outbound({ resolve: async () => [] }).fetch('http://nobody.example', limits))).toBe('failed')
    expect(await reason(outbound().fetch('http://nobody.invalid', limits))).toBe('failed')
  })

  test('a resolver that does not answer ends with the time', async () => {
    const resolve = () => new Promise<never>(() => undefined)
    expect(await reason(outbound({ resolve }).fetch('http://slow.example', { ...limits, timeoutMs: 50 }))).toBe('timeout')
  })
})

test('exceptions are for that host and port, and not for others', async () => {
  const { port, asked, url } = await serve((_, response) => response.end('hello'))
  const fetchWith = (allowed: string[], target = url) => reason(outbound({ allowed }).fetch(target, limits))
  expect(await fetchWith([])).toBe('refused')
  expect(await fetchWith([`localhost:${port + 1}`])).toBe('refused')
  expect(await fetchWith([`localhost:${port}`], `http://127.0.0.1:${port}`)).toBe('refused')
  expect(asked).toEqual([])
  expect(await fetchWith([`localhost:${port}`])).toBe('answered')
  expect(await fetchWith(['localhost'])).toBe('answered')
  expect(await fetchWith([`127.0.0.1:${port}`], `http://127.0.0.1:${port}`)).toBe('answered')
  expect(() => outbound({ allowed: ['no host'] })).toThrow(TypeError)
})

test('asks with the name it was given, and answers with what came', async () => {
  const seen: unknown[] = []
  const { port, url } = await serve((request, response) => {
    seen.push([request.headers.cookie, request.headers['user-agent'], request.headers['x-one']])
    response.writeHead(404, { 'set-cookie': 'a=b', 'content-type': 'text/plain' }).end('not here')
  })
  const client = outbound({ allowed: [`localhost:${port}`] })
  for (let turn = 0; turn < 2; turn++) {
    const answer = await client.fetch(`${url}/a?b=c#d`, { ...limits, headers: { 'X-One': '1' } })
    expect(answer).toMatchObject({ url: `${url}/a?b=c#d`, status: 404 })
    expect(answer.headers.get('content-type')).toBe('text/plain')
    expect(answer.body.toString()).toBe('not here')
  }
  const expected = [undefined, 'MaruBot/1.0', '1']
  expect(seen).toEqual([expected, expected])
})

describe('redirects', () => {
  test('into what is private are refused, each time', async () => {
    const inside = await serve((_, response) => response.end('secret'))
    const targets = ['http://127.0.0.1/', `http://127.0.0.1:${inside.port}/`, 'http://[::1]/', 'file:///etc/passwd', '//10.0.0.1']
    const outside = await serve((request, response) => {
      response.writeHead(302, { location: targets[Number(request.url!.slice(1))] ?? '/0' }).end()
    })
    const client = outbound({ allowed: [`localhost:${outside.port}`] })
    for (const [index] of targets.entries()) {
      expect(await reason(client.fetch(`${outside.url}/${index}`, { ...limits, maxRedirects: 3 }))).toBe('refused')
    }
    expect(await reason(client.fetch(`${outside.url}/again`, { ...limits, maxRedirects: 3 }))).toBe('refused')
    expect(inside.asked).toEqual([])
  })

  test('are followed as often as was said, and answered as they are beyond that', async () => {
    const { port, url, asked } = await serve((request, response) => {
      response.writeHead(302, { location: `${Number(request.url!.slice(1)) + 1}` }).end()
    })
    const client = outbound({ allowed: [`localhost:${port}`] })
    expect(await client.fetch(`${url}/0`, limits)).toMatchObject({ status: 302, url: `${url}/0` })
    expect(await client.fetch(`${url}/0`, { ...limits, maxRedirects: 3 })).toMatchObject({ status: 302, url: `${url}/3` })
    expect(asked).toHaveLength(5)
  })

  test('to another origin take no credentials along; 303 asks anew, 307 repeats', async () => {
    const seen: unknown[] = []
    const other = await serve((request, response) => {
      seen.push([request.method, request.headers.authorization, request.headers['x-kept']])
      request.on('data', (piece) => seen.push(String(piece))).on('end', () => response.end('there'))
    })
    const { port, url } = await serve((request, response) => {
      response.writeHead(Number(request.url!.slice(1)), { location: `${other.url}/` }).end()
    })
    const client = outbound({ allowed: [`localhost:${port}`, `localhost:${other.port}`] })
    const headers = { authorization: 'Bearer x', 'x-kept': 'yes', 'content-type': 'text/plain' }
    const request = { ...limits, method: 'POST', body: 'body', headers, maxRedirects: 1 }
    for (const status of [303, 307]) expect((await client.fetch(`${url}/${status}`, request)).status).toBe(200)
    expect(seen).toEqual([['GET', undefined, 'yes'], ['POST', undefined, 'yes'], 'body'])
  })

  test('may be written in Korean', async () => {
    const { port, url } = await serveRaw((socket) => {
      socket.end('HTTP/1.1 302 Found\r\nlocation: /마루?q=한 글\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
    })
    const answer = await outbound({ allowed: [`localhost:${port}`] }).fetch(url, limits)
    expect(decodeURI(answer.headers.get('location')!)).toBe('/마루?q=한 글')
  })
})

describe('what never ends', () => {
  const fetchRaw = async (answer: (socket: Socket) => void, request: Partial<OutboundRequest> = {}) => {
    const server = await serveRaw(answer)
    const client = outbound({ allowed: [`localhost:${server.port}`] })
    const result = await reason(client.fetch(server.url, { ...limits, timeoutMs: 1_000, ...request }))
    // The connection is given up too, and not only the answer.
    await server.closed
    return result
  }
  const endlessly = (socket: Socket, piece: string | Buffer) => {
    const more = () => {
      while (!socket.destroyed && socket.write(piece));
    }
    socket.on('drain', more)
    more()
  }
  const drip = (socket: Socket, piece: string, timer = setInterval(() => socket.write(piece), 20)) =>
    socket.on('close', () => clearInterval(timer))
  const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n'

  test('an endless body', async () => {
    expect(await fetchRaw((socket) => (socket.write(`${head}\r\n`), endlessly(socket, 'x'.repeat(1_000))))).toBe('too-large')
  })

  test('a body that says it is larger than it may be', async () => {
    expect(await fetchRaw((socket) => socket.write(`${head}content-length: 10001\r\n\r\n`))).toBe('too-large')
  })

  test('a body, drop by drop', async () => {
    expect(await fetchRaw((socket) => (socket.write(`${head}\r\n`), drip(socket, 'x')))).toBe('timeout')
  })

  test('headers, drop by drop', async () => {
    expect(await fetchRaw((socket) => (socket.write(head), drip(socket, 'a: b\r\n')))).toBe('timeout')
  })

  test('headers, endlessly', async () => {
    const headers = 'a: b\r\n'.repeat(100)
    expect(await fetchRaw((socket) => (socket.write(head), endlessly(socket, headers)))).toBe('too-large')
  })

  test('silence', async () => {
    expect(await fetchRaw(() => undefined)).toBe('timeout')
  })

  test('a caller who gives up', async () => {
    const giveUp = new AbortController()
    const answer = (socket: Socket) => (socket.write(`${head}\r\n`), giveUp.abort())
    expect(await fetchRaw(answer, { signal: giveUp.signal })).toBe('failed')
  })

  test('an endless body that compresses to nothing', async () => {
    const empty = gzipSync('')
    const many = Buffer.concat(Array.from({ length: 100 }, () => empty))
    const answer = (socket: Socket) => (socket.write(`${head}content-encoding: gzip\r\n\r\n`), endlessly(socket, many))
    expect(await fetchRaw(answer)).toBe('too-large')
  })

  test('a reader who has enough hangs up, and keeps what came', async () => {
    const server = await serveRaw((socket) => (socket.write(`${head}\r\n`), endlessly(socket, 'abc</head>')))
    const client = outbound({ allowed: [`localhost:${server.port}`] })
    const { body } = await client.fetch(server.url, { ...limits, maxBytes: 1e6, enough: (piece) => piece.includes('</head>') })
    expect(body.toString()).toMatch(/^abc<\/head>/)
    expect(body.length).toBeLessThan(1e6)
    await server.closed
    const cut = await serveRaw((socket) => (socket.write(`${head}\r\n`), endlessly(socket, 'x'.repeat(999))))
    const other = outbound({ allowed: [`localhost:${cut.port}`] })
    expect((await other.fetch(cut.url, { ...limits, cut: true })).body).toHaveLength(10_000)
    await cut.closed
  })
})

describe('compressed bodies', () => {
  const zeros = Buffer.alloc(50_000_000)
  const ways = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync, zstd: zstdCompressSync }

  test.each(Object.entries(ways))('%s: read, and a bomb refused', async (name, compress) => {
    const bomb = compress(zeros)
    const { port, url } = await serve((request, response) => {
      response.writeHead(200, { 'content-encoding': name })
      response.end(request.url === '/bomb' ? bomb : compress(Buffer.from('마루')))
    })
    const client = outbound({ allowed: [`localhost:${port}`] })
    expect((await client.fetch(url, limits)).body.toString()).toBe('마루')
    const before = process.memoryUsage().rss
    expect(await reason(client.fetch(`${url}/bomb`, { ...limits, maxBytes: 100_000 }))).toBe('too-large')
    expect(process.memoryUsage().rss - before).toBeLessThan(zeros.length)
  })

  test('twice is understood, thrice and what nobody knows is not, broken ones fail', async () => {
    const bodies: Record<string, [string, Buffer]> = {
      '/twice': ['gzip, br', brotliCompressSync(gzipSync('hello'))],
      '/thrice': ['gzip, gzip, gzip', gzipSync(gzipSync(gzipSync('hello')))],
      '/unknown': ['compress', Buffer.from('hello')],
      '/inherited': ['constructor', Buffer.from('hello')],
      '/broken': ['gzip', Buffer.from('hello')],
    }
    const { port, url } = await serve((request, response) => {
      const [encoding, body] = bodies[request.url!]!
      response.writeHead(200, { 'content-encoding': encoding }).end(body)
    })
    const client = outbound({ allowed: [`localhost:${port}`] })
    expect((await client.fetch(`${url}/twice`, limits)).body.toString()).toBe('hello')
    for (const path of ['/thrice', '/unknown', '/inherited', '/broken']) {
      expect(await reason(client.fetch(url + path, limits)), path).toBe('failed')
    }
  })
})

test('closing cuts what is under way, and nothing is asked afterwards', async () => {
  const { port, url } = await serve(() => undefined)
  const client = outbound({ allowed: [`localhost:${port}`] })
  const waiting = reason(client.fetch(url, limits))
  await client.close()
  expect(await waiting).toBe('failed')
  expect(await reason(client.fetch(url, limits))).toBe('failed')
})

test('an answer that is no HTTP fails, and so does a host that hangs up', async () => {
  for (const text of ['SSH-2.0-OpenSSH_9.2\r\n', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort', '']) {
    const { port, url } = await serveRaw((socket) => socket.end(text))
    expect(await reason(outbound({ allowed: [`localhost:${port}`] }).fetch(url, limits)), text).toBe('failed')
  }
  const gone = createRawServer()
  const port = await opened(gone)
  gone.close()
  expect(await reason(outbound({ allowed: [`localhost:${port}`] }).fetch(`http://localhost:${port}`, limits))).toBe('failed')
})
