import { hkdfSync } from 'node:crypto'
import { errors, jwtVerify, SignJWT } from 'jose'
import { mailAddressKey } from './mail-address.ts'

/** What a link in a mail is for. */
export type MailLinkPurpose = 'verify' | 'unsubscribe'

/** Whose link it is, and which address it was sent to, as `mailAddressKey` has it. */
export type MailLink = { userId: string; addressKey: string }

export type MailLinks = {
  /** The address of the page on which its reader says that this is their mailbox; good for a day. */
  verifyUrl(userId: string, email: string): Promise<string>
  /** The address that ends all mail to this mailbox; good for as long as the secret is, as mails are kept for years. */
  unsubscribeUrl(userId: string, email: string): Promise<string>
  /** What a link's token says; null where it was not given out for this, or is not good any more. */
  read(token: string, purpose: MailLinkPurpose): Promise<MailLink | null>
}

/** Where the links of mails lead, below the address of the server. */
export const mailPaths = { verify: '/mail/verify', unsubscribe: '/mail/unsubscribe' } as const

/** A mailbox that is looked into once a day is early enough. Hours. */
const verifyHours = 24

const issuer = 'maru-mail'

/**
 * Makes and reads the signed links of mails. Their key is derived (HKDF, RFC 5869) from the secret that signs access
 * tokens, so that neither can be taken for the other. `publicUrl` says where people reach the server.
 */
export function createMailLinks({ secret, publicUrl }: { secret: string; publicUrl: () => string }): MailLinks {
  const key = new Uint8Array(hkdfSync('sha256', secret, '', 'maru: links in mails', 32))

  async function urlFor(purpose: MailLinkPurpose, userId: string, email: string, hours: number | null) {
    const token = new SignJWT({ to: mailAddressKey(email) })
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuer(issuer)
      .setAudience(purpose)
      .setSubject(userId)
    if (hours !== null) token.setExpirationTime(`${hours}h`)
    return `${publicUrl().replace(/\/+$/, '')}${mailPaths[purpose]}?token=${await token.sign(key)}`
  }

  return {
    verifyUrl: (userId, email) => urlFor('verify', userId, email, verifyHours),
    unsubscribeUrl: (userId, email) => urlFor('unsubscribe', userId, email, null),
    async read(token, purpose) {
      try {
        const { payload } = await jwtVerify(token, key, { algorithms: ['HS256'], issuer, audience: purpose })
        return { userId: String(payload.sub), addressKey: String(payload.to) }
      } catch (error) {
        if (error instanceof errors.JOSEError) return null
        throw error
      }
    },
  }
}
