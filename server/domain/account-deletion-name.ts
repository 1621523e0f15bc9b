import { usernameKey } from '../lib/text.ts'

/** Nobody's name is as long, and what is cut off is no username. UTF-16 units. */
const maxTyped = 200

/**
 * What somebody has typed as their username to confirm something, as `usernameKey` gives it for the username: spaces
 * around it and an @ are passed over. The same for all spellings that are taken for one name.
 */
export const typedUsernameKey = (typed: string): string => usernameKey(typed.slice(0, maxTyped).trim().replace(/^@/, ''))
