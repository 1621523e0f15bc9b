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
  // A failure is not kept: the next one who asks may have more luck.
  return (page ??= render().catch((error: unknown) => {
    page = undefined
    throw error
  }))
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
    // Tells the server to keep this page signed in by a cookie.
    additionalHeaders: { 'x-maru-graphiql': '1' },
    credentials: 'same-origin' as const,
    // A token that is typed into the headers pane does not belong on the disk.
    shouldPersistHeaders: false,
  } satisfies GraphiQLOptions
  const html = renderGraphiQL(options).replace('<div id="root"></div>', (root) => root + keepInPlace + openOnExample)
  return { html: Buffer.from(html), contentSecurityPolicy: policyFor(html) }
}

/**
 * GraphiQL keeps what was typed last for all browser tabs of an address, and opens on that: in a second tab on nothing if
 * nothing was typed yet, and on localhost on what belonged to another server. So unless the address itself names a
 * document the example is put there. Given as options, document and variables would come back on each reload.
 */
const openOnExample = `<script>
  if (!new URL(location).searchParams.has('query')) localStorage['graphiql:query'] = ${JSON.stringify(exampleDocument)}
  localStorage['graphiql:variables'] ??= ${JSON.stringify(exampleVariables)}
</script>`

/** The editor's layers reach beyond the page, which would then scroll away from under them. */
const keepInPlace = '<style>html, body { overflow: hidden }</style>'

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
