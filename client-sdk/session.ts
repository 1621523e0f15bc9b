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
  /** The last change of the tokens that was begun; the next one waits for it. */
  #lastChange: Promise<unknown> = Promise.resolve()

  constructor({ storage = memoryStorage(), refreshBeforeMs = 30_000, ...http }: SessionOptions) {
    this.#request = createRequest(http)
    this.#storage = storage
    this.#refreshBeforeMs = refreshBeforeMs
  }

  /** Makes an account and signs it in. */
  async signUp(input: SignUpInput): Promise<UserFragment> {
    const { signUp } = await this.#request(SignUpDocument, { input })
    await this.#alone(() => this.#keep(signUp))
    return signUp.viewer
  }

  async signIn(input: SignInInput): Promise<UserFragment> {
    const { signIn } = await this.#request(SignInDocument, { input })
    await this.#alone(() => this.#keep(signIn))
    return signIn.viewer
  }

  /** Forgets the tokens in any case; throws where the server could not be told, whose session then ends by itself. */
  async signOut(): Promise<void> {
    const tokens = await this.#alone(async () => {
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
    if (refused === tokens.accessToken) return (await this.#refresh(tokens))?.accessToken ?? null
    if (!this.#isExpiring(tokens)) return tokens.accessToken
    try {
      return (await this.#refresh(tokens))?.accessToken ?? null
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

  /** Tokens in the place of the stale ones, for all who ask while they are being fetched. */
  #refresh(stale: Tokens): Promise<Tokens | null> {
    this.#refreshing ??= this.#alone(() => this.#exchange(stale)).finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #exchange(stale: Tokens): Promise<Tokens | null> {
    const stored = await this.#storage.load()
    if (!stored) return this.#end('requested')
    // Another tab was faster, or somebody has signed in anew.
    if (stored.refreshToken !== stale.refreshToken) return this.#hold(stored)
    try {
      const { refreshSession } = await this.#request(RefreshSessionDocument, { refreshToken: stored.refreshToken })
      return await this.#keep(refreshSession)
    } catch (error) {
      if (!(error instanceof MaruClientError) || error.retryable) throw error
      return this.#end('refused')
    }
  }

  /** Changes of the tokens happen one after the other, here and in all who share the storage. */
  #alone<Result>(change: () => Promise<Result>): Promise<Result> {
    const done = this.#lastChange.then(() => this.#storage.exclusive(change))
    this.#lastChange = done.catch(() => {})
    return done
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
    const wasSignedIn = this.#tokens !== null
    this.#tokens = null
    await this.#storage.save(null)
    if (wasSignedIn) for (const listener of this.#listeners) listener(reason)
    return null
  }
}
