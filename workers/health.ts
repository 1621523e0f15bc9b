import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Metrics } from '../server/observability/metrics.ts'
import { StartError } from '../server/start-error.ts'

/** Answers at `/health/live` and, unless metrics are off, `/metrics`, for a process that serves nothing else. */
export async function serveHealth(options: { host: string; port: number; metrics: Metrics | null }) {
  const { host, port, metrics } = options
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0]
    if (path === '/health/live') return void response.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}')
    if (path !== '/metrics' || metrics === null) return void response.writeHead(404).end()
    metrics.render().then(
      ({ contentType, body }) => response.writeHead(200, { 'content-type': contentType }).end(body),
      () => response.writeHead(500).end(),
    )
  })
  server.listen(port, host)
  await once(server, 'listening').catch((error: Error) => {
    throw new StartError(`WORKER_PORT ${port} cannot be opened: ${error.message}`)
  })
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      server.close()
      server.closeAllConnections()
    },
  }
}
