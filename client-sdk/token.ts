import { signedOut } from './errors.ts'

type MaybeToken = string | null | undefined

/**
 * Gives the access token for a request or a connection, or nothing for an anonymous one. `refused` is a token that the
 * server has just turned down, so the same one again would be of no use. When it throws, a request fails with what it
 * threw; a connection asks again later, unless it threw a MaruClientError that is not `retryable`.
 */
export type TokenSource = (refused?: string) => MaybeToken | Promise<MaybeToken>

/** A token other than the refused one (or any, where none was sent). Throws UNAUTHENTICATED where there is none. */
export async function freshToken(source: TokenSource, refused: string | undefined): Promise<string> {
  const token = await source(refused)
  if (!token || token === refused) throw signedOut()
  return token
}
