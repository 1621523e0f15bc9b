import { createHash } from 'node:crypto'
import type { GraphiQLOptions } from 'graphql-yoga'
import { exampleDocument, exampleVariables } from './graphiql-example.ts'

export type GraphiQLPage = {
  html: Buffer
  /** What the page may do: only what it brings along, and talk to the server that it came from. */
  contentSecurityPolicy: string
}

let page: Promise<GraphiQLPage> | undefined

/** The GraphiQL page, complete in itself: nothing in it is fetched from elsewhere. */
export function graphiqlPage(): Promise<GraphiQLPage> {
  return (page ??= render())
}

/** Whether a GET is from a browser that wants a page, and not from a client with a query. */
export function wantsPage(accept: string | undefined): boolean {
  return accept?.includes('text/html') ?? false
}

async function render(): Promise<GraphiQLPage> {
  // 9 MB of script that most replicas are never asked for.
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql')
  const options = {
    title: 'Maru',
    subscriptionsProtocol: 'WS' as const,
    defaultTabs: [{ query: exampleDocument, variables: exampleVariables }],
    // The first tab takes its variables from here alone; the page knows this option, its types do not.
    variables: exampleVariables,
    // Tells the server to keep this page signed in by a cookie.
    additionalHeaders: { 'x-maru-graphiql': '1' },
    credentials: 'same-origin' as const,
    // A token that is typed into the headers pane does not belong on the disk.
    shouldPersistHeaders: false,
  } satisfies GraphiQLOptions & { variables: string }
  const html = renderGraphiQL(options)
  return { html: Buffer.from(html), contentSecurityPolicy: policyFor(html) }
}

function policyFor(html: string): string {
  const scripts = [...html.matchAll(/<script>(.*?)<\/script>/gs)].map(([, script = '']) => `'sha256-${sha256(script)}'`)
  return [
    "default-src 'none'",
    `script-src ${scripts.join(' ')}`,
    // The editor's language services, which the page makes from text that it brings along.
    'worker-src blob:',
    // The editor writes styles as it goes.
    "style-src 'unsafe-inline'",
    "img-src 'self' data:",
    'font-src data:',
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}
