import { type AddressInfo, createServer, type Socket } from 'node:net'
import PostalMime, { type Email } from 'postal-mime'
import { SMTPServer } from 'smtp-server'

/** A mail as it came. */
export type Received = {
  from: string
  to: string[]
  user: string | null
  isEncrypted: boolean
  raw: string
  mail: Email
}

/** What the server says to a recipient, or at the end of a mail; null takes it. */
export type Answer = { code: number; text: string } | null

export type TestSmtpServer = {
  url: string
  port: number
  received: Received[]
  /** What it answers from now on. */
  answerTo(answers: { rcpt?: (address: string) => Answer; data?: () => Answer }): void
  stop(): Promise<void>
}

export type SmtpServerOptions = {
  /** Wants a user and a password. */
  account?: { user: string; password: string }
  /** Offers STARTTLS with this. */
  certificate?: { key: string; cert: string }
}

const failing = ({ code, text }: NonNullable<Answer>) => Object.assign(new Error(text), { responseCode: code })

/** A mail server on this machine, which keeps what it is given. */
export async function startSmtpServer({ account, certificate }: SmtpServerOptions = {}): Promise<TestSmtpServer> {
  const received: Received[] = []
  let rcpt: (address: string) => Answer = () => null
  let data: () => Answer = () => null
  const server = new SMTPServer({
    name: 'mail.example.test',
    logger: false,
    disableReverseLookup: true,
    closeTimeout: 100,
    authOptional: account === undefined,
    disabledCommands: [...(account === undefined ? ['AUTH'] : []), ...(certificate === undefined ? ['STARTTLS'] : [])],
    // Only over TLS, as it is done, so that what is sent in the clear is seen.
    allowInsecureAuth: certificate === undefined,
    ...certificate,
    onAuth({ username, password }, _session, done) {
      const isRight = username === account!.user && password === account!.password
      done(isRight ? null : failing({ code: 535, text: '5.7.8 Wrong' }), isRight ? { user: username } : undefined)
    },
    onRcptTo({ address }, _session, done) {
      const answer = rcpt(address)
      done(answer && failing(answer))
    },
    onData(stream, session, done) {
      const chunks: Buffer[] = []
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', async () => {
        const answer = data()
        if (answer !== null) return done(failing(answer))
        const raw = Buffer.concat(chunks).toString()
        const { mailFrom, rcptTo } = session.envelope
        received.push({
          from: mailFrom ? mailFrom.address : '',
          to: rcptTo.map(({ address }) => address),
          user: (session.user as string | undefined) ?? null,
          isEncrypted: session.secure,
          raw,
          mail: await PostalMime.parse(raw),
        })
        done()
      })
    },
  })
  // A client that hangs up is no failure of the server's.
  server.on('error', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.server.address() as AddressInfo
  const login = account === undefined ? '' : `${account.user}:${account.password}@`
  return {
    url: `smtp://${login}localhost:${port}`,
    port,
    received,
    answerTo(answers) {
      rcpt = answers.rcpt ?? (() => null)
      data = answers.data ?? (() => null)
    },
    stop: () => new Promise((resolve) => server.close(resolve)),
  }
}

/**
 * What listens and is no mail server: it says nothing at all, hangs up at once, or takes a mail to its end and hangs up
 * without a word about it. `mails` counts those.
 */
export async function startBrokenServer(how: 'silent' | 'hangs up' | 'forgets to answer') {
  const sockets = new Set<Socket>()
  const state = { mails: 0 }
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    if (how === 'hangs up') return void socket.destroy()
    if (how === 'forgets to answer') converse(socket, () => state.mails++)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `smtp://localhost:${port}`,
    state,
    async stop() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function converse(socket: Socket, onMail: () => void): void {
  let heard = ''
  let isData = false
  socket.write('220 mail.example.test\r\n')
  socket.on('data', (chunk) => {
    heard += String(chunk)
    for (let end = heard.indexOf('\r\n'); end >= 0; end = heard.indexOf('\r\n')) {
      const line = heard.slice(0, end)
      heard = heard.slice(end + 2)
      if (isData && line === '.') {
        onMail()
        return void socket.destroy()
      }
      if (isData) continue
      isData = /^data/i.test(line)
      socket.write(isData ? '354 go on\r\n' : '250 fine\r\n')
    }
  })
}
