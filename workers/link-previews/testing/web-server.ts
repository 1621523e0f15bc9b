import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { crc32, deflateSync, gzipSync } from 'node:zlib'
import sharp from 'sharp'

/** What one address answers with. */
type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** One request that came in, with the moments (of performance.now) at which it began and ended. */
export type Asked = { host: string; path: string; from: number; to: number | null; userAgent: string | undefined }

/** A corner of the web on loopback, as open as the real one: some of its pages are kind, and some are traps. */
export type WebServer = {
  /** The same server under two names. */
  hosts: [string, string]
  url(path: string, host?: string): string
  asked: Asked[]
  /** How often a path was asked for. */
  count(path: string): number
  /** Adds a page, or puts another in its place. */
  serve(path: string, answer: Answer | string): void
  close(): Promise<void>
}

/** Text as HTML in the encoding of a header. */
const html = (body: string | Buffer, headers: Record<string, string> = {}): Answer => (_, response) => {
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', ...headers }).end(body)
}

const redirect = (location: (request: IncomingMessage) => string, status = 302): Answer => (request, response) => {
  response.writeHead(status, { location: location(request) }).end()
}

export const page = (title: string, more = ''): string =>
  `<!doctype html><html><head><title>${title}</title>${more}</head><body>${'text '.repeat(100)}</body></html>`

/** “마루 소식” in EUC-KR. */
const koreanTitle = Buffer.from('b8b6b7e720bcd2bdc4', 'hex')

/** A PNG of a few hundred bytes that says it is as wide and high as this, and holds next to nothing. */
export function bombPng(width: number, height: number): Buffer {
  const chunk = (name: string, data: Buffer) => {
    const named = Buffer.concat([Buffer.from(name), data])
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
    length.writeUInt32BE(data.length)
    sum.writeUInt32BE(crc32(named))
    return Buffer.concat([length, named, sum])
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([1, 0, 0, 0, 0], 8)
  const signature = Buffer.from('89504e470d0a1a0a', 'hex')
  const lines = deflateSync(Buffer.alloc(1_000_000))
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', lines), chunk('IEND', Buffer.alloc(0))])
}

/** A real picture. */
export const picture = (width: number, height: number): Promise<Buffer> =>
  sharp({ create: { width, height, channels: 3, background: '#c86432' } }).jpeg().withMetadata().toBuffer()

/** Writes on, slowly, for as long as somebody listens. */
function drip(response: ServerResponse, piece: string) {
  const timer = setInterval(() => response.write(piece), 100)
  response.on('close', () => clearInterval(timer))
}

/** Writes on, as fast as somebody reads. */
function pour(response: ServerResponse, piece: string) {
  const more = () => {
    while (!response.destroyed && response.write(piece));
  }
  response.on('drain', more)
  more()
}

/** Starts the server, with everything in its place. Close it when the tests are done. */
export async function startWebServer(): Promise<WebServer> {
  const pages = new Map<string, Answer>()
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, 'http://any')
    const { host = '', 'user-agent': userAgent } = request.headers
    const entry: Asked = { host, path: pathname, from: performance.now(), to: null, userAgent }
    asked.push(entry)
    response.on('close', () => (entry.to = performance.now()))
    const answer = pages.get(pathname)
    if (answer === undefined) response.writeHead(404, { 'content-type': 'text/html' }).end(page('Not found'))
    else answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const hosts: [string, string] = [`localhost:${port}`, `127.0.0.1:${port}`]
  const large = await picture(1_200, 800)

  const serve: WebServer['serve'] = (path, answer) =>
    void pages.set(path, typeof answer === 'string' ? html(answer) : answer)

  const meta = (name: string, content: string) => `<meta property="${name}" content="${content}">`
  serve('/robots.txt', (_, response) => response.end('User-agent: *\nDisallow: /private\n'))
  serve('/private/page', page('Private'))
  serve('/plain', page('Plain &amp; simple', '<meta name="description" content="Nothing &lt;else&gt;">'))
  serve('/article', page('x', meta('og:title', '마루') + meta('og:site_name', 'The Floor') + meta('og:image', 'picture.jpg')))
  serve('/picture.jpg', (_, response) => response.writeHead(200, { 'content-type': 'image/jpeg' }).end(large))
  serve('/elsewhere', page('Elsewhere', meta('og:image', `http://${hosts[1]}/picture.jpg`)))
  serve('/euc-kr', html(Buffer.concat([Buffer.from('<head><title>'), koreanTitle, Buffer.from('</title></head>')]), { 'content-type': 'text/html; charset=euc-kr' }))
  serve('/no-title', '<html><head></head><body>text</body></html>')
  serve('/og-in-body', `<html><head></head><body>${meta('og:title', 'In the body')}</body></html>`)
  serve('/huge-head', page('Huge', `<script>${'x'.repeat(3_000_000)}</script>${meta('og:title', 'Too late')}`))
  serve('/gzip-bomb', html(gzipSync(Buffer.concat([Buffer.from('<head><title>Bomb</title>'), Buffer.alloc(100_000_000, ' ')])), { 'content-encoding': 'gzip' }))
  serve('/picture-bomb', page('Picture bomb', meta('og:image', '/bomb.png')))
  serve('/bomb.png', (_, response) => response.writeHead(200, { 'content-type': 'image/png' }).end(bombPng(30_000, 30_000)))
  serve('/svg', page('SVG', meta('og:image', '/script.png')))
  serve('/script.png', (_, response) =>
    response.writeHead(200, { 'content-type': 'image/png' }).end('<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>'))
  serve('/inner-picture', page('Inner picture', meta('og:image', `http://[::1]:${port}/picture.jpg`)))
  serve('/to-loopback', redirect(() => `http://[::1]:${port}/plain`))
  serve('/to-file', redirect(() => 'file:///etc/passwd'))
  serve('/moved', redirect(() => '/plain#part', 301))
  serve('/moved-elsewhere', redirect(() => `http://${hosts[1]}/plain`))
  serve('/loop', redirect(() => '/loop'))
  serve('/to-private', redirect(() => '/private/page'))
  serve('/pdf', (_, response) => response.writeHead(200, { 'content-type': 'application/pdf' }).end('%PDF-1.7'))
  serve('/no-store', html(page('Fresh'), { 'cache-control': 'private, no-store' }))
  serve('/endless', (_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' })
    pour(response, '<!-- endless -->'.repeat(1_000))
  })
  serve('/endless.jpg', (_, response) => {
    response.writeHead(200, { 'content-type': 'image/jpeg' }).write(large)
    pour(response, '\0'.repeat(10_000))
  })
  serve('/endless-picture', page('Endless picture', meta('og:image', '/endless.jpg')))
  serve('/drip', (_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' })
    drip(response, '<!-- drop -->')
  })

  return {
    hosts,
    asked,
    serve,
    url: (path, host = hosts[0]) => `http://${host}${path}`,
    count: (path) => asked.filter((each) => each.path === path).length,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
