/** Changes that wait for one socket at the most: two of the largest batches, so that who keeps up never overflows. */
const maxChanges = 256

/** Characters in them, so that the largest messages fill it sooner. */
const maxCharacters = 1_000_000

/** The room that one subscription has for what waits to be sent, shared by the streams that it reads. */
export type Room = {
  /** Takes room for a change of so many characters; false once there is more than fits. */
  enter(characters: number): boolean
  /** Gives it back. */
  leave(characters: number): void
}

/** An empty room. */
export function createRoom(): Room {
  let changes = 0
  let characters = 0
  return {
    enter(size) {
      changes++
      characters += size
      return changes <= maxChanges && characters <= maxCharacters
    },
    leave(size) {
      changes--
      characters -= size
    },
  }
}
