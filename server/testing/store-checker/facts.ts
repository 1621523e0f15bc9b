/** What a client asked to be stored. */
export type Body = {
  content: string
  digest: string
  bodyHash: string
  /** What it answers. */
  root: { id: string; authorId: string; seq: number } | null
  mentionIds: string[]
}

/** One idempotency key, however often and by whomever it is tried. */
export type Sent = {
  channelId: string
  authorId: string
  key: string
  /** What it was tried with; several where clients contradict each other. */
  bodies: Body[]
  /** What was acknowledged in the channel before the first attempt began. */
  floor: { seq: number; change: number }
  /** When that was, in milliseconds since 1970. */
  since: number
  /** Attempts by what became of them. */
  stored: number
  repeated: number
  unknown: number
  /** Bodies that met a conflict. */
  refused: Body[]
  message: { id: string; seq: number } | null
  /** The body that is stored. */
  winner: Body | null
}

/** Something that was done to a message; `change` is null where nobody knows whether it was. */
export type Touch = { change: number | null; what: 'edit' | 'delete' | 'pin' | 'unpin' | 'react'; digest?: string }

/** A message as far as anybody has seen it. */
export type Known = {
  id: string
  seq: number
  change: number
  authorId: string
  replyToId: string | null
  /** The newest state that was seen of it, and who saw it. */
  version: number
  print: string
  who: string
  touches: Touch[]
  sent?: Sent
}
