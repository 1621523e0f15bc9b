import { createTransport } from 'nodemailer'

/** One mail to one person. `headers` by name; they hold nothing but ASCII. */
export type Mail = { to: string; subject: string; text: string; html: string; headers?: Record<string, string> }

/**
 * Hands mails to a server that delivers them. `send` is done once the server has taken the mail; whether it arrives is
 * not known. It tries once, and rejects with a MailError within `timeoutMs`.
 */
export type Mailer = {
  send(mail: Mail): Promise<void>
  close(): void
}

/**
 * What became of a mail that was not taken.
 *
 * - `address`: there is no such mailbox; no mail to it will ever be taken.
 * - `refused`: this mail is not wanted, and trying it again changes nothing.
 * - `later`: it was not taken; the server is away, does not let us in, or asks to come back.
 * - `unknown`: the connection broke while it was handed over. It may have been taken.
 */
export type MailOutcome = 'address' | 'refused' | 'later' | 'unknown'

/** A mail that was not taken. The message holds what the server said, without the address that it was about. */
export class MailError extends Error {
  readonly outcome: MailOutcome

  constructor(outcome: MailOutcome, said: string) {
    super(`Mail not sent (${outcome}): ${said}`.slice(0, 500))
    this.name = 'MailError'
    this.outcome = outcome
  }
}

export type MailerOptions = {
  /**
   * `smtp://` or `smtps://`, with user and password where the server wants them. These go over TLS only, unless the
   * address says `?requireTLS=false`.
   */
  url: string
  /** Who the mails are from, such as `Maru <chat@example.org>`. */
  from: string
  /** By when `send` has an answer. Milliseconds. */
  timeoutMs?: number
  /** Trusted besides the well-known authorities, as PEM. */
  ca?: string | string[]
}

/** RFC 5321 would have a client wait for minutes; a worker that waits is one that does nothing else. Milliseconds. */
const defaultTimeoutMs = 30_000

/** Mails are few, and a mail server takes many connections of one client amiss. */
const maxConnections = 2

/** Servers hang up on who is silent for minutes, and that must not be in the midst of the next mail. Milliseconds. */
const idleMs = 10_000

/** A mailer that speaks SMTP. Nothing is connected before the first mail. */
export function createMailer({ url, from, timeoutMs = defaultTimeoutMs, ca }: MailerOptions): Mailer {
  const address = new URL(url)
  const isTold = address.searchParams.has('requireTLS') || address.searchParams.has('ignoreTLS')
  const mustEncrypt = address.username !== '' && address.protocol === 'smtp:' && !isTold
  const transport = createTransport(
    {
      url,
      pool: true,
      maxConnections,
      // A mail that was being handed over as the connection broke may have been taken: whoever sent it decides.
      maxRequeues: 0,
      // Up to the greeting; it must be over before the silence of a socket counts, which may come at any time.
      connectionTimeout: Math.ceil(timeoutMs / 3),
      socketTimeout: Math.ceil(timeoutMs / 2),
      idleTimeout: idleMs,
      // No text of a user's may name a file or an address to fetch.
      disableFileAccess: true,
      disableUrlAccess: true,
      ...(mustEncrypt ? { requireTLS: true } : {}),
      ...(ca === undefined ? {} : { tls: { ca } }),
    },
    { from },
  )
  return {
    async send({ to, subject, text, html, headers = {} }) {
      const prepared = Object.entries(headers).map(([key, value]) => ({ key, value: { prepared: true, value } }))
      try {
        // As an object: a text could be read as several addresses.
        const recipient = { name: '', address: to }
        const signal = AbortSignal.timeout(timeoutMs)
        await transport.sendMail({ to: recipient, subject, text, html, headers: prepared, signal })
      } catch (error) {
        // What is thrown is logged, and kept with a job.
        const said = (error as SmtpError).message.replaceAll(to, '…')
        throw new MailError(outcomeOf(error as SmtpError), said)
      }
    },
    close: () => transport.close(),
  }
}

/** What nodemailer says of a failure. */
type SmtpError = Error & {
  code?: string
  /** What the system called it. */
  originalCode?: string
  syscall?: string
  /** The command that it was about; CONN for all that is about none. */
  command?: string
  /** The server's reply, and its number. */
  response?: string
  responseCode?: number
  timeoutType?: string
}

/** How a connection ends that stood; certificates that are not trusted have codes of their own. */
const cuts = new Set(['ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT'])

function outcomeOf(error: SmtpError): MailOutcome {
  const { command = '', response = '', responseCode } = error
  if (responseCode === undefined) return isBeforeMail(error) ? 'later' : 'unknown'
  // 503 is about the order of commands, and what comes before a recipient is about the two servers.
  if (responseCode < 500 || responseCode === 503 || !['RCPT TO', 'DATA', 'API'].includes(command)) return 'later'
  return command === 'RCPT TO' && isAboutAddress(responseCode, response) ? 'address' : 'refused'
}

/** Whether a connection failed before there was anything handed over. */
function isBeforeMail({ code = '', originalCode, syscall, timeoutType = 'SOCKET_TIMEOUT' }: SmtpError): boolean {
  if (['EDNS', 'ETLS', 'EAUTH', 'ENOAUTH'].includes(code) || syscall === 'connect') return true
  if (code === 'ETIMEDOUT') return timeoutType !== 'SOCKET_TIMEOUT'
  return originalCode !== undefined && !cuts.has(originalCode)
}

/**
 * Whether a refusal of a recipient says that there is no such mailbox (RFC 3463, 3.2 and 3.3), and not that the server
 * does not want this sender, which it could say to all of them.
 */
function isAboutAddress(responseCode: number, response: string): boolean {
  const enhanced = /^\d{3}[ -](5\.\d{1,3}\.\d{1,3})\b/.exec(response)?.[1]
  if (enhanced === undefined) return [550, 551, 553].includes(responseCode)
  return /^5\.1\.[1236]$/.test(enhanced) || enhanced === '5.1.10' || enhanced === '5.2.1'
}
