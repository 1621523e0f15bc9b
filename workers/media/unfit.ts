import type { MediaFailure } from './media.ts'

/** A file that nothing can be made of, and why. */
export class Unfit extends Error {
  override name = 'Unfit'
  readonly reason: MediaFailure

  constructor(reason: MediaFailure, detail: string) {
    super(detail)
    this.reason = reason
  }
}
