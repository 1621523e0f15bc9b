export type Tokens = {
  accessToken: string
  accessTokenExpiresAt: string
  refreshToken: string
}

/** Where a session's tokens are kept. */
export type SessionStorage = {
  load(): Tokens | null | Promise<Tokens | null>
  save(tokens: Tokens | null): void | Promise<void>
  /**
   * Runs the work while nobody else who shares this storage, such as another tab, runs any. Two who refresh with the
   * same token would end the session.
   */
  exclusive<Result>(work: () => Promise<Result>): Promise<Result>
}

/** Keeps the tokens as long as the page lives, for one Session, which never runs two works at a time by itself. */
export function memoryStorage(): SessionStorage {
  let tokens: Tokens | null = null
  return {
    load: () => tokens,
    save(newer) {
      tokens = newer
    },
    exclusive: (work) => work(),
  }
}

type WebStorage = {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem(key: string): void
}

type LockManager = { request<Result>(name: string, work: () => Promise<Result>): Promise<Result> }

/**
 * Keeps the tokens in localStorage or the like, for all tabs of the same origin, which take turns by the Web Locks API.
 * A script that gets into the page can read them there, so a page that shows foreign content wants a stricter place.
 */
export function webStorage(storage: WebStorage, key = 'maru.session'): SessionStorage {
  return {
    load() {
      const text = storage.getItem(key)
      return text === null ? null : (JSON.parse(text) as Tokens)
    },
    save(tokens) {
      if (tokens) storage.setItem(key, JSON.stringify(tokens))
      else storage.removeItem(key)
    },
    exclusive(work) {
      const { navigator } = globalThis as { navigator?: { locks?: LockManager } }
      // Browsers that lack it are older than 2022; there tabs may sign each other out.
      return navigator?.locks ? navigator.locks.request(key, work) : work()
    },
  }
}
