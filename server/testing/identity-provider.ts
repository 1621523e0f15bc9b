import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose'

/** A deployment's own accounts, as far as Maru sees them: a key set at an address, and tokens signed with its keys. */
export type IdentityProvider = {
  issuer: string
  jwksUrl: string
  /** What a replica is started with. */
  env: Record<string, string>
  /** A token for a subject, good for five minutes; `claims` come on top, undefined takes one away. */
  token(subject: string, claims?: JWTPayload): Promise<string>
  /** The public key in use, as it is published. */
  publicKey(): JWK
  /** Signs with a new key from now on, and publishes only that. */
  rotate(): Promise<void>
  /** Answers like this from now on. */
  answer(status: number, body: string): void
  /** How often the key set was fetched. */
  fetches(): number
  stop(): Promise<void>
}

const issuer = 'https://id.example.org'
const audience = 'maru'

/** Starts one on a free port. */
export async function startIdentityProvider(): Promise<IdentityProvider> {
  let keys = await makeKeys(1)
  let reply = keySetOf(keys)
  let fetched = 0
  const server: Server = createServer((_, response) => {
    fetched++
    response.writeHead(reply.status, { 'content-type': 'application/json' }).end(reply.body)
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`

  return {
    issuer,
    jwksUrl,
    env: { AUTH_JWKS_URL: jwksUrl, AUTH_ISSUER: issuer, AUTH_AUDIENCE: audience },
    token(subject, claims = {}) {
      const now = Math.floor(Date.now() / 1_000)
      const payload = { iss: issuer, aud: audience, sub: subject, iat: now, exp: now + 300, ...claims }
      return new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid: keys.kid }).sign(keys.privateKey)
    },
    publicKey: () => keys.jwk,
    async rotate() {
      keys = await makeKeys(Number(keys.kid) + 1)
      reply = keySetOf(keys)
    },
    answer(status, body) {
      reply = { status, body }
    },
    fetches: () => fetched,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function makeKeys(number: number) {
  const kid = String(number)
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const jwk: JWK = { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' }
  return { kid, privateKey, jwk }
}

const keySetOf = ({ jwk }: { jwk: JWK }) => ({ status: 200, body: JSON.stringify({ keys: [jwk] }) })
