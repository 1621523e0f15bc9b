/**
 * What Redis does in one step. Every script works on one part: `KEYS[1]` is the hash of who is where, from a user to the
 * sittings that they are connected in, with spaces between; `KEYS[2]` the sorted set of leases, from a sitting to when it
 * ends; `KEYS[3]`, where there is one, the set of the users of the sitting that the script is about.
 *
 * Times are Redis' own, in milliseconds: replicas' clocks may disagree.
 */
export type Script = { text: string; keys: number }

const clock = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`

/** The field of the hash that says since when the part is there. No user has this id. */
export const bornField = '#'

/** A sitting that is being counted out is renamed in the leases, so that it cannot come back to life under its name. */
const countedOut = '~'

/** A part that nobody has renewed for a day belongs to a deployment that is no more. Milliseconds. */
const keptMs = 86_400_000

/**
 * Renews a sitting's lease. ARGV: sitting, the end of its lease as it was told last (empty at first), milliseconds that
 * the lease lasts, how many dead sittings to take on for counting out, milliseconds that this may take.
 *
 * Answers [now, since when the part is there, the lease's new end, users of the sitting, dead sittings taken on]. The
 * end is 0 where the lease is not as it was told last: the sitting has been counted out, or Redis has forgotten some or
 * all of what it knew. What it says of who is not there is to be believed again only after a while, so that the part
 * counts as new.
 */
export const beatScript: Script = {
  keys: 3,
  text: `${clock}
local told = ARGV[2]
local lease = redis.call('ZSCORE', KEYS[2], ARGV[1])
local isKept = told == '' or (lease and tonumber(lease) == tonumber(told))
local born = redis.call('HGET', KEYS[1], '${bornField}')
if not born or not isKept then
  born = now
  redis.call('HSET', KEYS[1], '${bornField}', now)
end
for place = 1, 3 do redis.call('PEXPIRE', KEYS[place], ${keptMs}) end
if not isKept then return {now, tonumber(born), 0, 0, {}} end
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
local dead = {}
if tonumber(ARGV[4]) > 0 then
  local ended = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[4])
  for _, name in ipairs(ended) do
    redis.call('ZREM', KEYS[2], name)
    local sitting = string.gsub(name, '^${countedOut}', '')
    redis.call('ZADD', KEYS[2], now + ARGV[5], '${countedOut}' .. sitting)
    dead[#dead + 1] = sitting
  end
end
return {now, tonumber(born), now + ARGV[3], redis.call('SCARD', KEYS[3]), dead}
`,
}

/**
 * Adds users to a sitting. ARGV: sitting, milliseconds that its lease lasts where it has none, users. Answers those who
 * were nowhere.
 */
export const joinScript: Script = {
  keys: 3,
  text: `${clock}
redis.call('ZADD', KEYS[2], 'NX', now + ARGV[2], ARGV[1])
local came = {}
for place = 3, #ARGV do
  local user = ARGV[place]
  local where = redis.call('HGET', KEYS[1], user)
  if not where then
    came[#came + 1] = user
    redis.call('HSET', KEYS[1], user, ARGV[1])
  elseif not string.find(' ' .. where .. ' ', ' ' .. ARGV[1] .. ' ', 1, true) then
    redis.call('HSET', KEYS[1], user, where .. ' ' .. ARGV[1])
  end
  redis.call('SADD', KEYS[3], user)
end
return came
`,
}

/** ARGV: sitting, users. Answers those of the users who are connected in this sitting alone. */
export const onlyScript: Script = {
  keys: 1,
  text: `
local only = {}
for place = 2, #ARGV do
  if redis.call('HGET', KEYS[1], ARGV[place]) == ARGV[1] then only[#only + 1] = ARGV[place] end
end
return only
`,
}

/**
 * Removes users from a sitting. ARGV: sitting, milliseconds that counting it out may go on taking where that is what
 * happens, users. Answers those who are nowhere any more.
 */
export const leaveScript: Script = {
  keys: 3,
  text: `${clock}
redis.call('ZADD', KEYS[2], 'XX', now + ARGV[2], '${countedOut}' .. ARGV[1])
local gone = {}
for place = 3, #ARGV do
  local user = ARGV[place]
  redis.call('SREM', KEYS[3], user)
  local where = redis.call('HGET', KEYS[1], user)
  if where then
    local left = {}
    for sitting in string.gmatch(where, '%S+') do
      if sitting ~= ARGV[1] then left[#left + 1] = sitting end
    end
    if #left > 0 then
      redis.call('HSET', KEYS[1], user, table.concat(left, ' '))
    else
      redis.call('HDEL', KEYS[1], user)
      gone[#gone + 1] = user
    end
  end
end
return gone
`,
}

/** Forgets a sitting that nobody is left in. ARGV: sitting. */
export const forgetScript: Script = {
  keys: 3,
  text: `
if redis.call('EXISTS', KEYS[3]) == 0 then redis.call('ZREM', KEYS[2], ARGV[1], '${countedOut}' .. ARGV[1]) end
return 0
`,
}

/** Lets a lease end at another time. ARGV: sitting, milliseconds from now. */
export const partScript: Script = {
  keys: 2,
  text: `${clock}
redis.call('ZADD', KEYS[2], 'XX', now + ARGV[2], ARGV[1])
return 0
`,
}
