import { createECDH, hkdfSync } from 'node:crypto'

/** How a server shows browsers' push services who it is (RFC 8292): a key pair on P-256, each in base64url. */
export type VapidKeys = { publicKey: string; privateKey: string }

/**
 * The pair that belongs to a secret, always the same: replicas agree on it, and browsers go on trusting it after a
 * restart. Derived by HKDF (RFC 5869). Numbers that are no key of the curve, one in 2³², are passed over.
 */
export function deriveVapidKeys(secret: string): VapidKeys {
  for (let attempt = 0; ; attempt++) {
    const bytes = Buffer.from(hkdfSync('sha256', secret, '', `maru: web push ${attempt}`, 32))
    const pair = createECDH('prime256v1')
    try {
      pair.setPrivateKey(bytes)
    } catch {
      continue
    }
    return { publicKey: pair.getPublicKey('base64url'), privateKey: bytes.toString('base64url') }
  }
}
