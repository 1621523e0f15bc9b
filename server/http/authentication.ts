import { expectedFailure } from '../errors.ts'
import type { Viewer } from '../viewer.ts'

/** Says who a token stands for; throws UNAUTHENTICATED if it stands for nobody, any longer or at all. */
export type Authenticate = (token: string) => Promise<Viewer>

/** The token of an `Authorization` header. Other schemes are not ours: a proxy in front may want a password. */
export function bearerToken(header: unknown): string | null {
  return typeof header === 'string' ? (/^bearer +(\S+) *$/i.exec(header)?.[1] ?? null) : null
}

/**
 * The token in the payload of `connection_init`, in whichever of the usual forms: `{ token }` or
 * `{ authorization: 'Bearer …' }`, the key in any case.
 */
export function connectionToken(payload: Readonly<Record<string, unknown>> | undefined): string | null {
  if (!payload) return null
  if (typeof payload.token === 'string' && payload.token !== '') return bearerToken(payload.token) ?? payload.token
  return authorizationIn(payload)
}

/** The token that came with one operation: where GraphiQL puts what is typed into its headers pane. */
export function operationToken(extensions: Record<string, unknown> | null | undefined): string | null {
  const headers = extensions?.headers
  return typeof headers === 'object' && headers !== null ? authorizationIn(headers as Record<string, unknown>) : null
}

/** Whether a token was refused, and not only impossible to check just now. */
export function isRefusal(error: unknown): boolean {
  const code = expectedFailure(error)?.code
  return code === 'UNAUTHENTICATED' || code === 'FORBIDDEN'
}

function authorizationIn(headers: Readonly<Record<string, unknown>>): string | null {
  for (const [key, value] of Object.entries(headers)) {
    if (key.toLowerCase() === 'authorization') return bearerToken(value)
  }
  return null
}
