/**
 * Ids as clients see them: a letter for the type, then the Snowflakes in base 36. A message's holds its channel too, so
 * that whoever holds one can go straight to where it is stored. Clients must not read them.
 */
export type GlobalId =
  | { type: 'User'; userId: string }
  | { type: 'Channel'; channelId: string }
  | { type: 'Message'; channelId: string; messageId: string }
  | { type: 'Attachment'; userId: string; attachmentId: string }
  | { type: 'Device'; userId: string; deviceId: string }
  | { type: 'ScheduledMessage'; scheduledMessageId: string }
  | { type: 'Reminder'; reminderId: string }
  | { type: 'Activity'; userId: string; activityId: number }
  | { type: 'Report'; reportId: string }

const toBase36 = (snowflake: string) => BigInt(snowflake).toString(36)

function fromBase36(text: string): string | null {
  // Thirteen digits hold every Snowflake and few numbers beyond.
  if (!/^[0-9a-z]{1,13}$/.test(text)) return null
  let value = 0n
  for (const digit of text) value = value * 36n + BigInt(Number.parseInt(digit, 36))
  return value < 1n << 63n ? value.toString() : null
}

export const userGlobalId = (userId: string): string => `u${toBase36(userId)}`
export const channelGlobalId = (channelId: string): string => `c${toBase36(channelId)}`
export const scheduledMessageGlobalId = (id: string): string => `s${toBase36(id)}`
export const reminderGlobalId = (id: string): string => `r${toBase36(id)}`
export const reportGlobalId = (id: string): string => `p${toBase36(id)}`
export const messageGlobalId = (channelId: string, messageId: string): string =>
  `m${toBase36(channelId)}_${toBase36(messageId)}`

export const attachmentGlobalId = (userId: string, attachmentId: string): string =>
  `a${toBase36(userId)}_${toBase36(attachmentId)}`
export const deviceGlobalId = (userId: string, deviceId: string): string => `d${toBase36(userId)}_${toBase36(deviceId)}`

export const activityGlobalId = (userId: string, activityId: number): string =>
  `y${toBase36(userId)}_${activityId.toString(36)}`

/** Reads an id; null where it is none that was ever given out. */
export function parseGlobalId(id: string): GlobalId | null {
  const [first, second, ...rest] = id.slice(1).split('_').map(fromBase36)
  if (first == null || second === null || rest.length > 0) return null
  if (id.startsWith('m')) {
    return second === undefined ? null : { type: 'Message', channelId: first, messageId: second }
  }
  if (id.startsWith('a')) return second === undefined ? null : { type: 'Attachment', userId: first, attachmentId: second }
  if (id.startsWith('d')) return second === undefined ? null : { type: 'Device', userId: first, deviceId: second }
  if (id.startsWith('y')) {
    // It is a change's number, which is no Snowflake.
    const activityId = Number(second ?? Number.NaN)
    return activityId <= 0x7fff_ffff ? { type: 'Activity', userId: first, activityId } : null
  }
  if (second !== undefined) return null
  if (id.startsWith('u')) return { type: 'User', userId: first }
  if (id.startsWith('c')) return { type: 'Channel', channelId: first }
  if (id.startsWith('s')) return { type: 'ScheduledMessage', scheduledMessageId: first }
  if (id.startsWith('r')) return { type: 'Reminder', reminderId: first }
  if (id.startsWith('p')) return { type: 'Report', reportId: first }
  return null
}
