/** What one client may ask for. Everything here can be answered without asking the store. */
export type HttpLimits = {
  /** Lexical tokens in one document, comments not counted. */
  maxTokens: number
  /** Fields inside fields, fragments followed. Introspection is not counted: graphql-js has its own rule for it. */
  maxDepth: number
  /** Aliases in one document. */
  maxAliases: number
  /** Fields at the root of one operation, fragments followed. */
  maxRootFields: number
  /** Directives in one document. */
  maxDirectives: number
  /** Objects that one operation may make the server load, as `cost.ts` estimates them. */
  maxCost: number
  /** What a page holds where neither `first` nor `last` is given: as the services have it. */
  defaultPageSize: number
  /** The most that a page holds: as the services have it. */
  maxPageSize: number
  /** Bytes in the body of one HTTP request. */
  maxBodyBytes: number
  /** Bytes in one message over a socket. */
  maxFrameBytes: number
  /** Characters of documents that are kept parsed and validated. */
  documentCacheChars: number
  /** Milliseconds within which a new socket must send `connection_init`. */
  connectionInitTimeoutMs: number
  /** New sockets whose tokens are looked at at the same time; the others wait for their turn. */
  greetingsAtOnce: number
  /** New sockets that may wait; further ones are closed with a code that is tried again. */
  maxWaitingSockets: number
  /** Milliseconds between two pings of a socket; one that shows no life between two of them is dead. */
  pingIntervalMs: number
  /** Milliseconds between two looks at all sockets for expired tokens and due pings. */
  sweepIntervalMs: number
  /** Milliseconds that a socket of nobody may stay without doing anything. */
  anonymousIdleMs: number
  /** Open sockets of one user on this replica. */
  socketsPerUser: number
  /** Operations under way on one socket. */
  operationsPerSocket: number
  /** Operations under way over all of a user's sockets on this replica. */
  operationsPerUser: number
  /** Unsent bytes past which nothing more is told on a socket until they have left: its streams remember where they stood. */
  stalledBytes: number
  /** Milliseconds after which a socket that has not taken what was unsent is given up. */
  stalledMs: number
  /** Unsent bytes past which nothing more is read from a socket. */
  pauseReadingBytes: number
  /** Unsent bytes past which a socket is given up. */
  maxUnsentBytes: number
  /** Milliseconds for a client to send its headers, and its whole request. */
  headersTimeoutMs: number
  requestTimeoutMs: number
  /** Milliseconds that an idle HTTP connection stays open. */
  keepAliveTimeoutMs: number
}

/** Limits that the clients of a chat do not meet, and that keep one of them from taking the server for itself. */
export const defaultLimits: HttpLimits = {
  // GraphiQL's introspection query has 184. Validation is quadratic in the worst document, the same field over and
  // over: with 2,000 tokens it took 110 ms, until graphql-js itself gave up on it.
  maxTokens: 2_000,
  // A page of channels with a page of messages with a page of replies with their reactions is 11 deep.
  maxDepth: 16,
  // Generated clients alias where two screens ask for the same field with different arguments: a handful.
  maxAliases: 30,
  // Aliased root fields are a way to try many passwords in one request; a screen needs fewer than ten.
  maxRootFields: 20,
  maxDirectives: 50,
  // 100 channels, each with 20 messages with author, reactions, attachments and mentions, cost about 24,000.
  // Executing that many objects of six fields, half of them loaded, took 140 ms.
  maxCost: 25_000,
  defaultPageSize: 50,
  maxPageSize: 100,
  // A message of 100,000 code points is 400 KB as UTF-8, and 1.2 MB where a client escapes them all: \uXXXX\uXXXX.
  maxBodyBytes: 2 * 1024 * 1024,
  maxFrameBytes: 2 * 1024 * 1024,
  // A parsed document takes about 40 times its text, so that this is some 40 MB when it is full.
  documentCacheChars: 1024 * 1024,
  // Mobile networks stall for seconds; a socket that has said nothing costs only its own memory.
  connectionInitTimeoutMs: 10_000,
  // To look at one takes the store a millisecond, when it has not been seen for a while: more at once win nothing, and
  // 10,000 that wait are done in seconds.
  greetingsAtOnce: 32,
  maxWaitingSockets: 10_000,
  // Proxies close what was silent for 60 s.
  pingIntervalMs: 25_000,
  // Looking at 50,000 sockets took 3 ms.
  sweepIntervalMs: 1_000,
  anonymousIdleMs: 60_000,
  // A phone, a tablet and a browser with many tabs.
  socketsPerUser: 50,
  operationsPerSocket: 100,
  operationsPerUser: 1_000,
  // A few hundred events; the kernel holds some megabytes before the first byte of it waits.
  stalledBytes: 256 * 1024,
  // Phones in lifts and tunnels come back sooner, and 70 kbit/s are enough.
  stalledMs: 30_000,
  // Above what the answer to one ordinary query takes, so that a client that reads is never held up.
  pauseReadingBytes: 1024 * 1024,
  // A few of the largest pages. A client that has this much to read and does not is gone or cannot keep up.
  maxUnsentBytes: 16 * 1024 * 1024,
  headersTimeoutMs: 10_000,
  // 2 MB over a bad mobile connection.
  requestTimeoutMs: 60_000,
  // Longer than the 60 s of common load balancers: the side that reuses connections must be the one that closes them.
  keepAliveTimeoutMs: 65_000,
}
