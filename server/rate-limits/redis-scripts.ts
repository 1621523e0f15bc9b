/*
 * What Redis does in one step. Times are its own, in milliseconds: replicas' clocks may disagree. A clock that is put back
 * fills no bucket until it has come as far again, and empties none; one that is put forward fills them.
 */

const clock = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
`

/**
 * A token bucket, in the place of RateLimiterRedis' own script, which counts within windows that begin and end: at the
 * edge of one twice as much gets through. `KEYS[1]` is the bucket, as the points in it and when that was; ARGV, as the
 * library gives them: points to take (less than none to give back), a number of its own, points that the bucket holds,
 * seconds until an empty one is full.
 *
 * Answers as the library reads it: [points that are taken out, milliseconds]. More taken out than it holds means that
 * nothing was taken, by one and what is left, and the milliseconds say when there will be enough; else they say when there
 * is one point more.
 */
export const bucketScript = `${clock}
local wanted = tonumber(ARGV[1])
local capacity = tonumber(ARGV[3])
local msForOne = tonumber(ARGV[4]) * 1000 / capacity
local points = capacity
local state = redis.call('GET', KEYS[1])
if state then
  local space = string.find(state, ' ', 1, true)
  local passed = now - tonumber(string.sub(state, space + 1))
  if passed < 0 then passed = 0 end
  points = math.min(capacity, tonumber(string.sub(state, 1, space - 1)) + passed / msForOne)
end
if points + 0.000001 < wanted then
  return {capacity + 1 + math.floor(points + 0.000001), math.ceil((wanted - points) * msForOne)}
end
points = math.max(0, math.min(capacity, points - wanted))
local full = (capacity - points) * msForOne
if full < 1 then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], string.format('%.6f %.3f', points, now), 'PX', math.ceil(full))
end
local whole = math.floor(points + 0.000001)
local next = math.ceil((math.min(capacity, whole + 1) - points) * msForOne)
return {capacity - whole, math.max(0, next)}
`

/**
 * Begins a pause. `KEYS[1]` is the pause, as when it began and its holder; ARGV: holder, milliseconds, and those for which
 * it is kept, as it may become longer. Answers [-1] where it has begun now, [0] where this holder's had, and else the
 * milliseconds that are left and the holder.
 */
export const beginPauseScript = `${clock}
local ms = tonumber(ARGV[2])
local state = redis.call('GET', KEYS[1])
if state then
  local space = string.find(state, ' ', 1, true)
  local left = math.min(ms, tonumber(string.sub(state, 1, space - 1)) + ms - now)
  if left > 0 then
    local holder = string.sub(state, space + 1)
    if holder == ARGV[1] then return {0} end
    return {math.ceil(left), holder}
  end
end
redis.call('SET', KEYS[1], string.format('%.3f ', now) .. ARGV[1], 'PX', ARGV[3])
return {-1}
`

/** Ends a pause if it is of this holder: ARGV[1]. */
export const endPauseScript = `
local state = redis.call('GET', KEYS[1])
if state and string.sub(state, string.find(state, ' ', 1, true) + 1) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
`

/** The milliseconds that are left of a pause of ARGV[1] milliseconds. */
export const leftOfPauseScript = `${clock}
local ms = tonumber(ARGV[1])
local state = redis.call('GET', KEYS[1])
if not state then return 0 end
local began = tonumber(string.sub(state, 1, string.find(state, ' ', 1, true) - 1))
return math.max(0, math.ceil(math.min(ms, began + ms - now)))
`
