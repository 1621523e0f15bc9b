import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Caller } from './caller.ts'
import { type FilesRoute, isFilesPath } from './files.ts'
import { graphiqlPage, wantsPage } from './graphiql.ts'
import type { GraphQLOverHttp } from './graphql-over-http.ts'
import { type MailPages, mailPurpose } from './mail-links.ts'
import type { Origins } from './origins.ts'
import type { RateLimiting } from './rate-limiting.ts'
import { securityHeaders } from './security-headers.ts'
import { appAssociations, type LinkedApps } from './short-links-apps.ts'
import { shortLinkKind, type ShortLinkPages } from './short-links.ts'

export type Readiness = {
  ok: boolean
  /** What was looked at, and how it is. */
  checks: Record<string, string>
}

export type Metrics = { contentType: string; body: string }

export type RoutesOptions = {
  origins: Origins
  graphql: GraphQLOverHttp
  ready(): Promise<Readiness>
  /** Null where metrics are off. */
  metrics: (() => Promise<Metrics>) | null
  /** Takes and serves files; absent where they are kept elsewhere. */
  files?: FilesRoute | undefined
  /** Absent where there is no mail. */
  mail?: MailPages | undefined
  /** Lets so many looks at short links through. */
  limiting: RateLimiting
  /** Absent where there is nothing that they could lead to. */
  shortLinks?: ShortLinkPages | undefined
  /** Apps that open them by themselves. */
  apps?: LinkedApps | undefined
}

export type Route = (request: IncomingMessage, response: ServerResponse, caller: Caller) => Promise<void>

const knownRoutes = new Set(['/', '/graphql', '/health/live', '/health/ready', '/metrics', '/mail/verify', '/mail/unsubscribe'])

/** The path of a request where it is one that is answered, else `other`: clients may ask for anything. */
export function routeOf({ url }: IncomingMessage): string {
  const path = url?.split('?')[0] ?? ''
  if (isFilesPath(path)) return '/files'
  const link = shortLinkKind(path)
  if (link !== null) return link === 'INVITE' ? '/i' : '/m'
  return knownRoutes.has(path) ? path : 'other'
}

/** Finds what answers a request. */
export function createRoutes({ origins, graphql, ready, metrics, files, mail, limiting, shortLinks, apps }: RoutesOptions): Route {
  const associations = appAssociations(apps ?? { ios: [], android: [] })

  async function atGraphQL(request: IncomingMessage, response: ServerResponse, caller: Caller): Promise<void> {
    const { method, headers } = request
    // Also where there is nothing to allow: caches must not give one origin the answer to another.
    response.setHeader('vary', 'Origin')
    if (!URL.canParse(`http://${headers.host}`)) return sendError(response, 400, 'The Host header names no host.')
    if (method === 'OPTIONS') {
      response.writeHead(204, { allow: 'GET, POST, OPTIONS', ...origins.preflightHeaders(headers) }).end()
      return
    }
    for (const [name, value] of Object.entries(origins.corsHeaders(headers))) response.setHeader(name, value)
    response.setHeader('cache-control', 'no-store')
    if (method === 'GET' && wantsPage(headers.accept)) return sendGraphiQL(response)
    if (method !== 'GET' && method !== 'POST') {
      response.setHeader('allow', 'GET, POST, OPTIONS')
      return sendError(response, 405, 'Send GraphQL by POST, or queries by GET.')
    }
    // Forms and plain text are what pages of other sites can post without asking the server first.
    if (method === 'POST' && !isJson(headers['content-type'])) {
      return sendError(response, 415, 'Send a JSON body with content-type: application/json.')
    }
    await graphql(request, response, caller)
  }

  async function atReady(response: ServerResponse): Promise<void> {
    const readiness = await ready().catch(() => ({ ok: false, checks: { server: 'failed' } }))
    sendJson(response, readiness.ok ? 200 : 503, readiness)
  }

  async function atMetrics(response: ServerResponse, metrics: () => Promise<Metrics>): Promise<void> {
    const { contentType, body } = await metrics()
    response.writeHead(200, { 'content-type': contentType }).end(body)
  }

  return async (request, response, caller) => {
    for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value)
    response.setHeader('x-request-id', caller.requestId)
    const path = request.url?.split('?')[0]
    if (path === '/graphql') return atGraphQL(request, response, caller)
    if (files !== undefined && isFilesPath(path)) return files(request, response)
    if (mail !== undefined && mailPurpose(path) !== null) return mail(request, response)
    if (shortLinks !== undefined && shortLinkKind(path) !== null) {
      return shortLinks(request, response, (viewer) => limiting.page({ ip: caller.ip, viewer }, response))
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') return sendError(response, 404, 'There is nothing here.')
    if (path === '/') return void response.writeHead(302, { location: '/graphql' }).end()
    const association = associations.get(path ?? '')
    if (association !== undefined) return sendJson(response, 200, association)
    if (path === '/health/live') return sendJson(response, 200, { ok: true })
    if (path === '/health/ready') return atReady(response)
    if (path === '/metrics' && metrics !== null) return atMetrics(response, metrics)
    return sendError(response, 404, 'There is nothing here. The API is at /graphql.')
  }
}

async function sendGraphiQL(response: ServerResponse): Promise<void> {
  const { html, contentSecurityPolicy } = await graphiqlPage()
  response.setHeader('content-security-policy', contentSecurityPolicy)
  response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-length': html.length }).end(html)
}

function isJson(contentType: string | undefined): boolean {
  return /^application\/json *(;|$)/.test(contentType ?? '')
}

/** In the form of a GraphQL answer, so that a client that expects one shows the message. */
function sendError(response: ServerResponse, status: number, message: string): void {
  const code = status === 404 ? 'NOT_FOUND' : 'BAD_USER_INPUT'
  sendJson(response, status, { errors: [{ message, extensions: { code } }] })
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body))
}
