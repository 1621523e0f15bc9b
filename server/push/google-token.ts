import { createPrivateKey, type KeyObject } from 'node:crypto'
import { SignJWT } from 'jose'
import type { Outbound } from '../lib/outbound.ts'
import { asReason, mendMs, readObject, retryAfterMs } from './outcomes.ts'
import type { FcmOptions, PushOutcome } from './push-sender.ts'

/** What a token for sending messages, and nothing else, is asked for. */
const scope = 'https://www.googleapis.com/auth/firebase.messaging'

/** Google takes assertions of an hour at the most; this one is used once. Seconds. */
const assertionSeconds = 300

/** A token is not used in its last minute: a request takes time, and clocks differ. Milliseconds. */
const leftOverMs = 60_000

const maxAnswerBytes = 100_000

/** There is no token, and this is what becomes of the notice. */
export class NoToken extends Error {
  readonly outcome: PushOutcome

  constructor(outcome: PushOutcome) {
    super('No access token.')
    this.name = 'NoToken'
    this.outcome = outcome
  }
}

/**
 * Access tokens for a service account (RFC 7523: an assertion signed with its key is exchanged for one), each kept
 * until a minute before its end. All who ask while one is fetched get that one.
 */
export type GoogleToken = {
  /** Throws NoToken where Google gives none, and OutboundError where it does not answer. */
  current(): Promise<string>
  /** The one after `refused`, which Google no longer takes. Throws as `current` does. */
  after(refused: string): Promise<string>
}

/** Throws an Error where the account's key cannot be read. */
export function createGoogleToken(options: {
  serviceAccount: FcmOptions['serviceAccount']
  outbound: Outbound
  timeoutMs: number
  signal: AbortSignal
}): GoogleToken {
  const { serviceAccount, outbound, timeoutMs, signal } = options
  const key = readKey(serviceAccount.private_key)
  let held: { token: string; until: number } | null = null
  let fetching: Promise<string> | null = null

  async function fetchToken(): Promise<string> {
    const assertion = await new SignJWT({ scope })
      .setProtectedHeader({ alg: 'RS256' })
      .setIssuer(serviceAccount.client_email)
      .setAudience(serviceAccount.token_uri)
      .setIssuedAt()
      .setExpirationTime(`${assertionSeconds}s`)
      .sign(key)
    const answer = await outbound.fetch(serviceAccount.token_uri, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
        assertion,
      }).toString(),
      timeoutMs,
      maxBytes: maxAnswerBytes,
      signal,
    })
    const said = readObject(answer.body.toString())
    if (answer.status === 200 && typeof said.access_token === 'string') {
      const seconds = typeof said.expires_in === 'number' ? said.expires_in : 0
      held = { token: said.access_token, until: performance.now() + seconds * 1_000 - leftOverMs }
      return said.access_token
    }
    const reason = asReason(said.error) ?? `HTTP ${answer.status}`
    const isPassing = answer.status === 429 || answer.status >= 500 || answer.status === 200
    const wait = retryAfterMs(answer.headers.get('retry-after'))
    throw new NoToken({ outcome: 'later', reason, retryAfterMs: isPassing ? wait : mendMs })
  }

  function fetchOnce(): Promise<string> {
    fetching ??= fetchToken().finally(() => {
      fetching = null
    })
    return fetching
  }

  return {
    current: async () => (held !== null && performance.now() < held.until ? held.token : fetchOnce()),
    async after(refused) {
      if (held?.token === refused) held = null
      return this.current()
    },
  }
}

function readKey(pem: string): KeyObject {
  try {
    const key = createPrivateKey(pem)
    if (key.asymmetricKeyType === 'rsa') return key
  } catch {
    // Said below.
  }
  throw new Error("The FCM service account's private_key is no RSA key in PEM: give the whole JSON file from Google.")
}
