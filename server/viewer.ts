/** The user who is asking, as the access token says. */
export type Viewer = {
  userId: string
  /** The session that the token belongs to; null for tokens of another issuer, which know no sessions here. */
  sessionId: string | null
  /** When the token ends, and with it every socket that it opened; null where it does not say. */
  expiresAt: Date | null
  /** When they last showed who they are, as a token of another issuer says; null where it does not. */
  signedInAt?: Date | null
}
