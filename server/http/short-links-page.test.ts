import { mkdir } from 'node:fs/promises'
import { type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { newChannel, operation, say } from '../../schema/testing/operations.ts'
import { startChromium } from '../testing/chromium.ts'
import { type Person, startTestApp, type TestApp } from '../testing/test-app.ts'

// A browser is a program of many processes.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

let app: TestApp
let browser: Browser
let alice: Person
let bob: Person
beforeAll(async () => {
  ;[app, browser] = await Promise.all([startTestApp(), startChromium()])
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
})
afterAll(async () => {
  await browser?.close()
  await app?.stop()
})

const create = operation(`mutation Create($input: CreateInviteInput!) { createInvite(input: $input) { url } }`)
const link = operation(`mutation Link($messageId: ID!) { createMessageLink(messageId: $messageId) { url } }`)

/** For whoever wants to look at them: SCREENSHOTS names a folder. */
async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env.SCREENSHOTS
  if (folder === undefined) return
  await mkdir(folder, { recursive: true })
  await page.screenshot({ path: `${folder}/${name}.png` })
}

/** A tab of somebody's own, and what its browser had to complain of. */
async function openTab(locale: string, colorScheme: 'light' | 'dark' = 'light') {
  const context = await browser.newContext({ locale, colorScheme, viewport: { width: 420, height: 640 } })
  const complaints: string[] = []
  context.on('console', (message) => void complaints.push(message.text()))
  context.on('dialog', (dialog) => void complaints.push(dialog.message()))
  return { context, page: await context.newPage(), complaints }
}

test('in a browser the page of an invite is what was meant, and runs nothing that people write', async () => {
  const name = '<script>alert(1)</script> 마루 \u202egnp'
  const topic = `차와 케이크 이야기\n\n<img src=x onerror=alert(2)> ${'아주 긴 주제 '.repeat(20)}`
  const channelId = await newChannel(alice, { name, topic }, [bob])
  const { createInvite } = await alice.client.request(create, { input: { channelId } })
  for (const [locale, colours, heading] of [
    ['ko-KR', 'light', '<script>alert(1)</script> 마루 gnp에 초대받았습니다'],
    ['en-US', 'dark', 'You are invited to <script>alert(1)</script> 마루 gnp'],
  ] as const) {
    const { context, page, complaints } = await openTab(locale, colours)
    const answer = await page.goto(createInvite.url)
    expect(answer!.status()).toBe(200)
    expect((await page.locator('h1').innerText()).replaceAll(/[\u2068\u2069]/g, '')).toBe(heading)
    // Its style is let through by its policy, and nothing else is there to be stopped.
    expect(await page.locator('body').evaluate((body) => getComputedStyle(body).wordBreak)).toBe('keep-all')
    expect(await page.locator('img, script').count()).toBe(0)
    expect(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth)).toBe(true)
    await picture(page, `invite-${locale}`)
    expect(complaints.filter((text) => !text.includes('favicon'))).toEqual([])
    await context.close()
  }
})

test('in a browser that is signed in a message is shown, once it is opened from here', async () => {
  const channelId = await newChannel(alice, { name: '마루' }, [bob])
  const { id } = await say(alice, channelId, '내일 세 시에 만나요.\n<b>꼭</b> 오세요!')
  const { url } = (await alice.client.request(link, { messageId: id })).createMessageLink
  const { context, page, complaints } = await openTab('ko-KR')
  await page.goto(url)
  expect(await page.locator('h1').innerText()).toBe('대화 속 메시지')
  await picture(page, 'message-closed')

  // As GraphiQL's page signs in: with the cookie of the server's own page.
  const signedIn = await context.request.post(new URL('/graphql', url).href, {
    headers: { 'x-maru-graphiql': '1', 'sec-fetch-site': 'same-origin', origin: new URL(url).origin },
    data: { query: 'mutation { signIn(input: { username: "bob", password: "bob’s password" }) { viewer { id } } }' },
  })
  expect(await signedIn.json()).toHaveProperty('data')
  const [cookie] = await context.cookies(url)
  expect(cookie).toMatchObject({ name: 'maru_session', httpOnly: true, sameSite: 'Strict' })

  // From another site, as from a chat: the browser keeps the cookie back until the link on the page is pressed.
  await page.route('http://elsewhere.test/', (route) => route.fulfill({ contentType: 'text/html', body: `<a href="${url}">look</a>` }))
  await page.goto('http://elsewhere.test/')
  await page.getByText('look').click()
  await page.getByText('여기에서 이미 로그인했습니다').click()
  await page.getByText('내일 세 시에 만나요.').waitFor()
  expect((await page.locator('h1').innerText()).replaceAll(/[\u2068\u2069]/g, '')).toBe('alice')
  expect(await page.locator('.text').innerText()).toContain('<b>꼭</b> 오세요!')
  await picture(page, 'message-open')
  expect(complaints.filter((text) => !text.includes('favicon'))).toEqual([])
  await context.close()
})
