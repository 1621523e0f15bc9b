import { createServer } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startBrokenServer, startSmtpServer, type TestSmtpServer } from '../../workers/mail/testing/smtp-server.ts'
import { makeCertificate } from '../push/testing/certificate.ts'
import { createMailer, type Mail, type MailerOptions, MailError, type MailOutcome } from './mail.ts'

const from = 'Maru <chat@example.org>'
const mail: Mail = {
  to: 'alice@example.org',
  subject: '읽지 않은 메시지',
  text: '안녕하세요\n.\n끝',
  html: '<p>안녕하세요</p>',
  headers: { 'List-Unsubscribe': `<https://chat.example.org/mail/unsubscribe?token=${'x'.repeat(300)}>` },
}

/** What a mailer that is used once says. */
async function outcomeOf(options: Omit<MailerOptions, 'from'>, sent = mail): Promise<MailOutcome | 'sent'> {
  const mailer = createMailer({ from, ...options })
  try {
    await mailer.send(sent)
    return 'sent'
  } catch (error) {
    if (error instanceof MailError) return error.outcome
    throw error
  } finally {
    mailer.close()
  }
}

describe('a server that takes mail', () => {
  let server: TestSmtpServer
  beforeAll(async () => {
    server = await startSmtpServer()
  })
  beforeEach(() => {
    server.received.length = 0
    server.answerTo({})
  })
  afterAll(() => server.stop())

  test('is given it whole', async () => {
    expect(await outcomeOf({ url: server.url })).toBe('sent')
    const [{ mail: read, raw, ...envelope }] = server.received as [(typeof server.received)[number]]
    expect(envelope).toEqual({ from: 'chat@example.org', to: ['alice@example.org'], user: null, isEncrypted: false })
    expect(read).toMatchObject({ subject: mail.subject, from: { name: 'Maru', address: 'chat@example.org' } })
    expect(read.text?.trim()).toBe(mail.text)
    expect(read.html?.trim()).toBe(mail.html)
    expect(raw).toContain(`List-Unsubscribe: ${mail.headers!['List-Unsubscribe']}\r\n`)
  })

  test('is given one recipient, whatever an address looks like', async () => {
    expect(await outcomeOf({ url: server.url }, { ...mail, to: 'alice@example.org, bob@example.org' })).not.toBe('sent')
    expect(server.received.flatMap(({ to }) => to)).toEqual([])
    await outcomeOf({ url: server.url }, { ...mail, subject: 'hi\r\nBcc: bob@example.org' })
    expect(server.received[0]!.to).toEqual(['alice@example.org'])
    expect(server.received[0]!.raw).not.toMatch(/^bcc/im)
  })

  test.each([
    ['later', 450, '4.2.1 Mailbox busy'],
    ['later', 451, 'Greylisted'],
    ['later', 452, '4.2.2 Mailbox full'],
    ['address', 550, '5.1.1 No such user'],
    ['address', 550, 'No such user'],
    ['address', 553, '5.1.3 Bad address'],
    ['address', 550, '5.2.1 Disabled'],
    ['refused', 550, '5.7.1 Relaying denied'],
    ['refused', 554, 'Go away'],
    ['refused', 552, '5.2.2 Mailbox full'],
  ] as const)('is understood: %s where it says %i %s to the recipient', async (outcome, code, text) => {
    server.answerTo({ rcpt: () => ({ code, text }) })
    expect(await outcomeOf({ url: server.url })).toBe(outcome)
  })

  test.each([
    ['later', 451, '4.3.0 Try again'],
    ['refused', 554, '5.7.1 Spam'],
    ['refused', 550, '5.1.1 No such user'],
  ] as const)('is understood: %s where it says %i %s to the mail', async (outcome, code, text) => {
    server.answerTo({ data: () => ({ code, text }) })
    expect(await outcomeOf({ url: server.url })).toBe(outcome)
  })

  test('is used again after it has refused', async () => {
    const mailer = createMailer({ url: server.url, from })
    server.answerTo({ rcpt: () => ({ code: 550, text: '5.1.1 No such user' }) })
    await expect(mailer.send(mail)).rejects.toMatchObject({ outcome: 'address' })
    server.answerTo({})
    await mailer.send(mail)
    mailer.close()
    expect(server.received).toHaveLength(1)
    await expect(mailer.send(mail)).rejects.toBeInstanceOf(MailError)
  })
})

describe('a server that wants to know who it is', () => {
  const account = { user: 'maru', password: 'p@ss:word' }
  const login = `maru:${encodeURIComponent(account.password)}`

  test('is told over TLS, and only there', async () => {
    const certificate = makeCertificate()
    const server = await startSmtpServer({ account, certificate })
    const url = `smtp://${login}@localhost:${server.port}`
    expect(await outcomeOf({ url, ca: certificate.cert })).toBe('sent')
    expect(server.received[0]).toMatchObject({ user: 'maru', isEncrypted: true })
    // Somebody in between, with a certificate of their own.
    expect(await outcomeOf({ url })).toBe('later')
    expect(await outcomeOf({ url: `smtp://maru:wrong@localhost:${server.port}`, ca: certificate.cert })).toBe('later')
    expect(server.received).toHaveLength(1)
    await server.stop()
  })

  test('is told nothing where it offers no TLS, unless the address says so', async () => {
    const server = await startSmtpServer({ account })
    const url = `smtp://${login}@localhost:${server.port}`
    expect(await outcomeOf({ url })).toBe('later')
    expect(server.received).toEqual([])
    expect(await outcomeOf({ url: `${url}?requireTLS=false` })).toBe('sent')
    await server.stop()
  })
})

describe('what is no mail server', () => {
  test('was not there', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    await new Promise((resolve) => server.close(resolve))
    expect(await outcomeOf({ url: `smtp://127.0.0.1:${port}` })).toBe('later')
    expect(await outcomeOf({ url: `smtp://nowhere.invalid:${port}` })).toBe('later')
  })

  test('never says a word', async () => {
    const server = await startBrokenServer('silent')
    expect(await outcomeOf({ url: server.url, timeoutMs: 600 })).toBe('later')
    await server.stop()
  })

  test('may have taken it, where it does not say', async () => {
    const server = await startBrokenServer('forgets to answer')
    expect(await outcomeOf({ url: server.url })).toBe('unknown')
    // And is not tried once more.
    expect(server.state.mails).toBe(1)
    await server.stop()
  })

  test('hangs up', async () => {
    const server = await startBrokenServer('hangs up')
    expect(await outcomeOf({ url: server.url })).not.toBe('sent')
    await server.stop()
  })
})
