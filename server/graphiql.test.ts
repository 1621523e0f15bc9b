import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { exampleDocument } from './http/graphiql-example.ts'
import { startChromium } from './testing/chromium.ts'
import { startTestApp, type TestApp } from './testing/test-app.ts'

// The page is 9 MB of script, and the browser a program of many processes.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })
const patience = { timeout: 20_000 }

let app: TestApp
let browser: Browser
const contexts: BrowserContext[] = []
/** Whatever a page asked for, and whatever it had to complain of. */
const requests = new Set<string>()
const complaints: string[] = []

beforeAll(async () => {
  ;[app, browser] = await Promise.all([startTestApp(), startChromium()])
})
afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close()
})
afterAll(async () => {
  await browser?.close()
  await app?.stop()
})

/** A browser of somebody's own: nothing in it is shared with anybody else's. */
async function openBrowser(): Promise<BrowserContext> {
  const context = await browser.newContext({ permissions: ['clipboard-read', 'clipboard-write'] })
  contexts.push(context)
  context.on('request', (request) => requests.add(request.url()))
  context.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
  })
  context.on('weberror', (error) => complaints.push(String(error.error())))
  return context
}

/** Opens GraphiQL in a new tab, and waits until it knows the operations of what it shows. */
async function openGraphiQL(context: BrowserContext, search = ''): Promise<Page> {
  const page = await context.newPage()
  page.on('websocket', (socket) => requests.add(socket.url()))
  await page.goto(app.url + search)
  await page.locator('.graphiql-query-editor .view-line').first().waitFor()
  return page
}

/** Presses play, and chooses an operation from the menu. */
async function play(page: Page, operation: string): Promise<void> {
  await page.locator('.graphiql-execute-button').click()
  await page.getByRole('menuitem', { name: operation, exact: true }).click()
}

/** What the page shows as the answer. */
const shown = async (page: Page) => {
  const answer = await page.locator('.result-window .view-lines').innerText()
  return answer.replaceAll('\u{a0}', ' ')
}

async function waitFor(page: Page, text: string): Promise<void> {
  await expect.poll(() => shown(page), patience).toContain(text)
}

/** Replaces the variables as a person does who pastes. */
async function pasteVariables(page: Page, variables: object): Promise<void> {
  await page.bringToFront()
  await page.evaluate((text) => navigator.clipboard.writeText(text), JSON.stringify(variables))
  await page.locator('.graphiql-editor-tool .view-lines').first().click()
  await page.keyboard.press('ControlOrMeta+A')
  await page.keyboard.press('ControlOrMeta+V')
}

test('a stranger signs up, watches, and reads on the page what is said; nothing comes from elsewhere', async () => {
  const alices = await openBrowser()
  const watching = await openGraphiQL(alices)
  await play(watching, 'SignUp')
  await waitFor(watching, '"username": "alice"')
  await play(watching, 'Inbox')
  await waitFor(watching, '"__typename": "SyncedEvent"')

  // A second tab opens on the example too, and is signed in.
  const speaking = await openGraphiQL(alices)
  await play(speaking, 'CreateChannel')
  await waitFor(speaking, '"name": "first-steps"')
  const [, channelId] = /"id": "(\w+)"/.exec(await shown(speaking))!
  await pasteVariables(speaking, { channelId })
  await play(speaking, 'SendMessage')
  await waitFor(speaking, '"seq": 1')
  await waitFor(watching, '"content": "Hello, world!"')
  expect(await shown(watching)).toContain('"username": "alice"')

  // Somebody else, elsewhere, with an example of which they have changed the name, by the keyboard.
  const bobs = await openGraphiQL(await openBrowser(), `?query=${encodeURIComponent(exampleDocument.replaceAll('alice', 'bob'))}`)
  await bobs.getByText('mutation SignUp').click()
  await bobs.keyboard.press('ControlOrMeta+Enter')
  await waitFor(bobs, '"username": "bob"')
  await play(bobs, 'PublicChannels')
  await waitFor(bobs, `"id": "${channelId}"`)
  await pasteVariables(bobs, { channelId })
  await play(bobs, 'JoinChannel')
  await waitFor(bobs, '"memberCount": 2')
  await waitFor(watching, '"username": "bob"')
  await play(bobs, 'SendMessage')
  await waitFor(watching, '"content": "Hello, world!"')
  expect(await shown(watching)).toContain('"username": "bob"')

  // What was typed is there again when the page is loaded anew.
  await speaking.reload()
  await speaking.getByText(channelId!).waitFor()

  const { host } = new URL(app.url)
  const elsewhere = [...requests].filter((url) => new URL(url.replace(/^blob:/, '')).host !== host)
  expect(elsewhere).toEqual([])
  expect([...requests]).toContain(`ws://${host}/graphql`)
  expect(complaints).toEqual([])
})
