import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'

/** What an address of the server's own files lets its holder do. */
export type Permit =
  | { method: 'GET'; key: string; expires: number; contentType: string; filename: string | null }
  | { method: 'PUT'; key: string; expires: number; contentType: string; byteSize: number }

/** The key that addresses are signed with, made of the secret that access tokens are signed with (HKDF, RFC 5869). */
export const addressSecret = (jwtSecret: string): Buffer =>
  Buffer.from(hkdfSync('sha256', jwtSecret, '', 'maru files', 32))

/** All that is signed, so that no two permits read the same. */
const toSign = (permit: Permit): string =>
  JSON.stringify([
    permit.method,
    permit.key,
    permit.expires,
    permit.contentType,
    permit.method === 'PUT' ? permit.byteSize : permit.filename,
  ])

const signatureOf = (permit: Permit, secret: Buffer): Buffer => createHmac('sha256', secret).update(toSign(permit)).digest()

/** The path and query of a permit, to be put behind the server's address. `expires` is in seconds since 1970. */
export function signPath(permit: Permit, secret: Buffer): string {
  const query = new URLSearchParams({ expires: String(permit.expires), type: permit.contentType })
  if (permit.method === 'PUT') query.set('length', String(permit.byteSize))
  else if (permit.filename !== null) query.set('filename', permit.filename)
  query.set('signature', signatureOf(permit, secret).toString('base64url'))
  return `/files/${permit.key}?${query}`
}

/**
 * What an address permits, if it is one that was signed with this secret and has not expired by `now` (milliseconds);
 * else null. A permit to read is one to ask for the headers, too.
 */
export function readPermit(method: string, path: string, secret: Buffer, now = Date.now()): Permit | null {
  const [place, search = ''] = path.split('?', 2) as [string, string?]
  if (!place.startsWith('/files/')) return null
  const query = new URLSearchParams(search)
  const [expires, contentType, signature] = ['expires', 'type', 'signature'].map((name) => query.get(name))
  if (expires == null || contentType == null || signature == null || !/^\d{1,12}$/.test(expires)) return null
  const common = { key: place.slice('/files/'.length), expires: Number(expires), contentType }
  const length = query.get('length')
  if (method === 'PUT' && !/^\d{1,15}$/.test(length ?? '')) return null
  const permit: Permit =
    method === 'PUT'
      ? { ...common, method, byteSize: Number(length) }
      : { ...common, method: 'GET', filename: query.get('filename') }
  const given = Buffer.from(signature, 'base64url')
  const right = signatureOf(permit, secret)
  if (given.length !== right.length || !timingSafeEqual(given, right)) return null
  return permit.expires * 1_000 > now ? permit : null
}
