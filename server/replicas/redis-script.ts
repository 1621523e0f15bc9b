import type { RedisClient } from '../lib/redis.ts'
import { arrivalMs, leaseMs } from './registry.ts'

/*
 * What replicas have in Redis is two hashes in one slot. `members` holds for each replica when its lease ends and, after
 * a space, what it says of itself as JSON. `sent` holds how many were sent to each in one second: the field is the
 * second and the replica's id, with a space between. Times are Redis' own: replicas' clocks may disagree.
 */

/** What a replica says of itself. More may be said by another version: what is not known is passed over. */
export type Said = {
  url: string | null
  sockets: number
  arrived: number
  draining: boolean
  /** Milliseconds since 1970. */
  since: number
  version: string
}

/** What a beat finds out. */
export type Found = {
  /** Whether this replica was still there as it had been told. */
  isKept: boolean
  members: Map<string, Said>
  /** How many were sent to each in the last `arrivalMs`. */
  sent: Map<string, number>
}

/** Nobody has renewed it for a day: it belongs to a deployment that is no more. Milliseconds. */
const keptMs = 86_400_000

/**
 * No version has a lease as long. What ends later was written before Redis' clock jumped back, and would stand for as
 * long as the jump was wide. Milliseconds.
 */
const farMs = 120_000

/**
 * ARGV: id, what the replica says of itself or nothing, milliseconds that its lease lasts, milliseconds that who was
 * sent counts for, then id and count of those to whom it has sent people. Answers [1 where the lease was still running,
 * ids and what they say of themselves, ids and how many were sent there].
 */
const beatScript = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local kept = 0
local members, all = {}, redis.call('HGETALL', KEYS[1])
for place = 1, #all, 2 do
  local id, ends, said = all[place], string.match(all[place + 1], '^(%d+) (.*)$')
  if ends and tonumber(ends) > now and tonumber(ends) < now + ${farMs} then
    if id == ARGV[1] then
      kept = 1
    else
      members[#members + 1] = id
      members[#members + 1] = said
    end
  else
    redis.call('HDEL', KEYS[1], id)
  end
end
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now + ARGV[3]) .. ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ${keptMs})
  members[#members + 1] = ARGV[1]
  members[#members + 1] = ARGV[2]
end
for place = 5, #ARGV, 2 do redis.call('HINCRBY', KEYS[2], time[1] .. ' ' .. ARGV[place], ARGV[place + 1]) end
if #ARGV > 5 then redis.call('PEXPIRE', KEYS[2], ${keptMs}) end
local sums = {}
all = redis.call('HGETALL', KEYS[2])
for place = 1, #all, 2 do
  local second, id = string.match(all[place], '^(%d+) (.*)$')
  if second and second * 1000 > now - ARGV[4] and tonumber(second) <= tonumber(time[1]) then
    sums[id] = (sums[id] or 0) + all[place + 1]
  else
    redis.call('HDEL', KEYS[2], all[place])
  end
end
local sent = {}
for id, sum in pairs(sums) do
  sent[#sent + 1] = id
  sent[#sent + 1] = sum
end
return {kept, members, sent}
`

const leaveScript = `return redis.call('HDEL', KEYS[1], ARGV[1])`

/** The two keys of a deployment. */
export function replicaKeys(deployment: string): [members: string, sent: string] {
  // Braces say which part of the name decides on the slot, and both are in one.
  const prefix = `maru:${deployment.replaceAll(/[{}]/g, '_')}:{replicas}:`
  return [`${prefix}members`, `${prefix}sent`]
}

/**
 * Renews the lease of replica `id`, tells to whom it has sent people, and reads how all stand. With nothing said it only
 * reads. Rejects where Redis is away.
 */
export async function beat(
  client: RedisClient,
  keys: readonly [string, string],
  own: { id: string; said: Said | null; sent: ReadonlyMap<string, number>; lease?: number },
): Promise<Found> {
  const { id, said, sent, lease = leaseMs } = own
  const text = said === null ? '' : JSON.stringify(said)
  const args = [id, text, lease, arrivalMs, ...[...sent].flat()]
  const [kept, members, sums] = (await client.eval(beatScript, 2, ...keys, ...args)) as [
    number,
    string[],
    (string | number)[],
  ]
  const found: Found = { isKept: kept === 1, members: new Map(), sent: new Map() }
  for (let place = 0; place < members.length; place += 2) {
    const read = readSaid(members[place + 1]!)
    if (read !== null) found.members.set(members[place]!, read)
  }
  for (let place = 0; place < sums.length; place += 2) found.sent.set(String(sums[place]), Number(sums[place + 1]))
  return found
}

/** Takes a replica out of the list. Rejects where Redis is away. */
export const leave = (client: RedisClient, [members]: readonly [string, string], id: string): Promise<unknown> =>
  client.eval(leaveScript, 1, members, id)

/** Reads what a replica of any version says; null where it is no more than noise. */
function readSaid(text: string): Said | null {
  let said: unknown
  try {
    said = JSON.parse(text)
  } catch {
    return null
  }
  if (typeof said !== 'object' || said === null) return null
  const { url, sockets, arrived, draining, since, version } = said as Record<string, unknown>
  const count = (value: unknown) => (typeof value === 'number' && value > 0 ? Math.floor(value) : 0)
  return {
    url: typeof url === 'string' && /^https?:\/\//i.test(url) ? url : null,
    sockets: count(sockets),
    arrived: count(arrived),
    draining: draining === true,
    since: count(since),
    version: typeof version === 'string' ? version : 'unknown',
  }
}
