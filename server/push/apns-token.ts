import { createPrivateKey, type KeyObject } from 'node:crypto'
import { SignJWT } from 'jose'

/**
 * Apple refuses tokens that are older than an hour, and providers that make a new one more often than every 20 minutes
 * ("Establishing a token-based connection to APNs"). Milliseconds.
 */
const renewAfterMs = 40 * 60_000

/**
 * A token that Apple calls too old before its time says that a clock is wrong. Asking again helps once it has been set
 * right, and asking with every notice would be too often. Milliseconds.
 */
const forcedAtMostEveryMs = 60_000

/** What Maru signs in to APNs with: a JWT of ES256, one for all requests. */
export type ProviderToken = {
  /** The token in use, made when it is first asked for and every 40 minutes. */
  current(): Promise<string>
  /** The one after `expired`, which Apple has called too old; null where a new one would be made too soon. */
  after(expired: string): Promise<string | null>
}

/** Throws an Error where the key is no private key on P-256 in PEM. */
export function createProviderToken(options: { key: string; keyId: string; teamId: string }): ProviderToken {
  const key = readKey(options.key)
  let made: { at: number; token: Promise<string> } | null = null
  let forcedAt = -Infinity

  /** Of the same moment for all who ask, so that Apple sees one token and not as many as there are requests. */
  function make(): Promise<string> {
    const token = new SignJWT({})
      .setProtectedHeader({ alg: 'ES256', kid: options.keyId })
      .setIssuer(options.teamId)
      .setIssuedAt()
      .sign(key)
    made = { at: performance.now(), token }
    return token
  }

  return {
    async current() {
      return made !== null && performance.now() - made.at < renewAfterMs ? made.token : make()
    },
    async after(expired) {
      const held = made
      // Another one by now, or made by somebody else who was told the same.
      if ((await held?.token) !== expired || held !== made) return this.current()
      if (performance.now() - forcedAt < forcedAtMostEveryMs) return null
      forcedAt = performance.now()
      return make()
    },
  }
}

function readKey(pem: string): KeyObject {
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch (cause) {
    throw new Error('The APNs key is no private key in PEM: give it the whole content of the .p8 file.', { cause })
  }
  if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key
  throw new Error('The APNs key is no key on P-256: give it the .p8 file that Apple made for push notifications.')
}
