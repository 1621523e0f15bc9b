import { MaruClientError } from './errors.ts'
import {
  RefreshSessionDocument,
  SignInDocument,
  type SignInInput,
  SignOutDocument,
  SignUpDocument,
  type SignUpInput,
  type UserFragment,
} from './generated/operations.ts'
import { createRequest, type HttpOptions, type Request } from './http.ts'
import { memoryStorage, type SessionStorage, type Tokens } from './session-storage.ts'

export type SessionOptions = Pick<HttpOptions, 'url' | 'fetch' | 'timeoutMs'> & {
  /** Where the tokens are kept. Default: in memory, gone with the page. */
  storage?: SessionStorage
  /** A token with less time left than this is replaced before it is used. Default 30 s. */
  refreshBeforeMs?: number
}

/** Why a session ended: the server refused to go on with it, or this or another tab signed out. */
export type SignedOutReason = 'refused' | 'requested'

/**
 * The viewer's tokens. A refresh token works exactly once, and the second use of one ends the session, so all who need
 * a fresh token at the same time share one refresh; with a storage that can lock, other tabs do too.
 */
export class Session {
  readonly #request: Request
  readonly #storage: SessionStorage
  readonly #refreshBeforeMs: number
  readonly #listeners = new Set<(reason: SignedOutReason) => void>()
  /** Undefined until it has been read from the storage. */
  #tokens: Tokens | null | undefined
  #receivedAt = 0
  #refreshing: Promise<Tokens | null> | undefined

  constructor({ storage = memoryStorage(), refreshBeforeMs = 30_000, ...http }: SessionOptions) {
    this.#request = createRequest(http)
    this.#storage = storage
    this.#refreshBeforeMs = refreshBeforeMs
  }

  /** Makes an account and signs it in. */
  async signUp(input: SignUpInput): Promise<UserFragment> {
    const { signUp } = await this.#request(SignUpDocument, { input })
    await this.#keep(signUp)
    return signUp.viewer
  }

  async signIn(input: SignInInput): Promise<UserFragment> {
    const { signIn } = await this.#request(SignInDocument, { input })
    await this.#keep(signIn)
    return signIn.viewer
  }

  /** Forgets the tokens in any case; throws where the server could not be told, whose session then ends by itself. */
  async signOut(): Promise<void> {
    await this.#refreshing?.catch(() => {})
    const tokens = await this.#storage.exclusive(async () => {
      const stored = await this.#storage.load()
      await this.#end('requested')
      return stored
    })
    if (tokens) await this.#request(SignOutDocument, { refreshToken: tokens.refreshToken })
  }

  /**
   * A token that is good for some time yet, or null when signed out. Made to be handed to createMaruClient as `token`.
   * Throws only where it cannot be known, such as without a network.
   */
  readonly token = async (refused?: string): Promise<string | null> => {
    const tokens = await this.#load()
    if (!tokens) return null
    if (refused === tokens.accessToken) return (await this.#refresh())?.accessToken ?? null
    if (!this.#isExpiring(tokens)) return tokens.accessToken
    try {
      return (await this.#refresh())?.accessToken ?? null
    } catch {
      // It may be good yet; if it is not, the server refuses it and we come back.
      return tokens.accessToken
    }
  }

  /** Calls the listener each time the session ends. Gives a function that takes the listener off again. */
  onSignedOut(listener: (reason: SignedOutReason) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async #load(): Promise<Tokens | null> {
    if (this.#tokens === undefined) {
      const stored = await this.#storage.load()
      // Whoever signed in while we read knows better.
      this.#tokens ??= stored
    }
    return this.#tokens
  }

  /**
   * A token that has just come is used until it is refused, whatever its time says: else a clock that is wrong, or a
   * life shorter than the margin, would have us refresh before each request.
   */
  #isExpiring({ accessTokenExpiresAt }: Tokens): boolean {
    const goodUntil = Date.parse(accessTokenExpiresAt) - this.#refreshBeforeMs
    return Date.now() > Math.max(goodUntil, this.#receivedAt + this.#refreshBeforeMs)
  }

  #refresh(): Promise<Tokens | null> {
    this.#refreshing ??= this.#refreshAlone().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  #refreshAlone(): Promise<Tokens | null> {
    return this.#storage.exclusive(async () => {
      const stored = await this.#storage.load()
      if (!stored) return this.#end('requested')
      // Another tab was faster.
      if (stored.refreshToken !== this.#tokens?.refreshToken) return this.#hold(stored)
      try {
        const { refreshSession } = await this.#request(RefreshSessionDocument, { refreshToken: stored.refreshToken })
        return await this.#keep(refreshSession)
      } catch (error) {
        if (!(error instanceof MaruClientError) || error.retryable) throw error
        return this.#end('refused')
      }
    })
  }

  async #keep({ accessToken, accessTokenExpiresAt, refreshToken }: Tokens): Promise<Tokens> {
    const tokens = this.#hold({ accessToken, accessTokenExpiresAt, refreshToken })
    await this.#storage.save(tokens)
    return tokens
  }

  #hold(tokens: Tokens): Tokens {
    this.#tokens = tokens
    this.#receivedAt = Date.now()
    return tokens
  }

  async #end(reason: SignedOutReason): Promise<null> {
    this.#tokens = null
    await this.#storage.save(null)
    for (const listener of this.#listeners) listener(reason)
    return null
  }
}
