import { setTimeout as sleep } from 'node:timers/promises'
import {
  beatScript,
  bornField,
  forgetScript,
  joinScript,
  leaveScript,
  onlyScript,
  partScript,
  type Script,
} from './redis-scripts.ts'
import { type PresenceHooks, sayLeaving } from './registry.ts'

/**
 * Users in one command. All parts send one at a time at once, so that it is thirty-two times as many for which neither
 * Redis nor this process does anything else: some milliseconds.
 */
const usersAtOnce = 100

/** The pause between such commands, so that nobody has to wait behind fifty thousand users. Milliseconds. */
const pauseMs = 2

/** Dead sittings that one replica takes on at once. */
const deadAtOnce = 4

export type PartOptions = {
  /** What this replica is called; no other ever was. */
  replica: string
  /** The names of the part's own keys; the third is that of the users of a sitting. */
  keys: { where: string; leases: string; usersOf(sitting: string): string }
  /** Runs commands. Both reject when Redis is away or does not answer for some time. */
  run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>
  hmget(key: string, fields: readonly string[]): Promise<(string | null)[]>
  srandmember(key: string, count: number): Promise<string[]>
  hooks: PresenceHooks
  onError(error: unknown): void
  /** Remembers whether a user was last seen on another replica. */
  elsewhere: { has(userId: string): boolean; set(userId: string, isThere: true): unknown; delete(userId: string): unknown }
  silenceMs: number
  settleMs: number
}

/**
 * One of the parts that users are spread over, as this replica has a share in it. The replica's users of this part make
 * up its sitting. As long as Redis does what it is told, there is one sitting for a process. When Redis may have forgotten
 * something, or not have heard of something, the replica begins a new one with all of its users, and the old one is
 * counted out like that of a dead replica: so the two cannot be mixed up, and nobody is missing and nobody too many.
 */
export type Part = {
  join(userId: string): void
  leave(userId: string): void
  /** Finds out who of these is on another replica; whatever it cannot find out stays as it is. */
  look(userIds: readonly string[]): Promise<void>
  /** Whether somebody is connected here, or has not been counted out yet. */
  has(userId: string): boolean
  /** Keeps the sitting alive, and notices what has become of it. To be called every second. */
  beat(): Promise<void>
  /** Says that something may have gone wrong with Redis. */
  doubt(): void
  /** Lets the sitting live on for so long without being renewed. */
  part(ms: number): Promise<unknown>
}

export function createPart(options: PartOptions): Part {
  const { keys, hooks, elsewhere, silenceMs, onError } = options
  let sittings = 0
  let sitting = `${options.replica}.0`
  /** The end of the sitting's lease, by Redis' clock; empty before the first beat. */
  let lease = ''
  /** Who is connected here. */
  const here = new Set<string>()
  /** Who is in the sitting, by what was sent. */
  const sent = new Set<string>()
  /** Those of whom Redis is still to be told. */
  let pending = new Set<string>()
  /** Those of them whose coming is no news. */
  let known = new Set<string>()
  /** Sittings that are to be counted out as soon as all who are here are in the new one. */
  let abandoned: string[] = []
  /** Of whom it is still to be noted, and of whom it has been noted, that they left, though Redis was not told. */
  const unnoted = new Set<string>()
  const noted = new Set<string>()
  let isNoting = false
  let isInDoubt = false
  let isTelling = false
  let isBeating = false
  /** Since when every beat has been answered as it should; null where the last one was not. By `performance.now()`. */
  let steadySince: number | null = null
  /** What to add to `performance.now()` to get Redis' time. */
  let offset = 0

  const keysOf = (of: string) => [keys.where, keys.leases, keys.usersOf(of)]
  const namesOf = async (script: Script, of: string, args: readonly (string | number)[]) =>
    (await options.run(script, keysOf(of).slice(0, script.keys), [of, ...args])) as string[]

  function doubt() {
    if (isInDoubt) return
    isInDoubt = true
    steadySince = null
    for (const userId of sent) if (!here.has(userId)) leaveInDoubt(userId)
  }

  /** Redis cannot be told that they have left; then it is noted at least, unless they are elsewhere. */
  function leaveInDoubt(userId: string) {
    sent.delete(userId)
    if (elsewhere.has(userId)) return
    unnoted.add(userId)
    void note()
  }

  async function note(): Promise<void> {
    if (isNoting) return
    isNoting = true
    await new Promise(setImmediate)
    while (unnoted.size > 0) {
      const userIds = take(unnoted, usersAtOnce)
      for (const userId of userIds) noted.add(userId)
      await sayLeaving(hooks, userIds)
      hooks.onMoved(userIds)
    }
    isNoting = false
  }

  /** Begins a sitting with all who are here, none of which is news. */
  function beginAnew() {
    abandoned.push(sitting)
    sitting = `${options.replica}.${++sittings}`
    lease = ''
    sent.clear()
    pending = new Set(here)
    known = new Set(here)
    isInDoubt = false
    void tell()
  }

  /** Tells Redis who has come and gone, some at a time, until it knows. */
  async function tell(): Promise<void> {
    if (isTelling) return
    isTelling = true
    // Whoever comes in the same moment is told of together.
    await new Promise(setImmediate)
    while (pending.size > 0 && !isInDoubt) {
      const userIds = take(pending, usersAtOnce)
      const came = userIds.filter((userId) => here.has(userId) && !sent.has(userId))
      const left = userIds.filter((userId) => !here.has(userId) && sent.has(userId))
      try {
        await Promise.all([came.length > 0 && tellJoined(came), left.length > 0 && tellLeft(left)])
        if (pending.size > 0) await sleep(pauseMs, undefined, { ref: false })
      } catch (error) {
        // Nobody knows what Redis did of it: the next beat that is answered begins anew.
        doubt()
        onError(error)
      }
    }
    isTelling = false
    if (!isInDoubt && abandoned.length > 0) buryOwn().catch(onError)
  }

  /** Counts out what Redis may have kept of the sittings before this one, with those who left meanwhile. */
  async function buryOwn(): Promise<void> {
    const own = abandoned
    abandoned = []
    for (const one of own) await bury(one)
    noted.clear()
  }

  async function tellJoined(userIds: string[]): Promise<void> {
    for (const userId of userIds) sent.add(userId)
    const came = await namesOf(joinScript, sitting, [silenceMs, ...userIds])
    const news = came.filter((userId) => !known.has(userId))
    for (const userId of userIds) known.delete(userId)
    if (news.length > 0) hooks.onMoved(news)
  }

  async function tellLeft(userIds: string[]): Promise<void> {
    const of = sitting
    const only = await namesOf(onlyScript, of, userIds)
    await sayLeaving(hooks, only)
    // They may have come back meanwhile, or all be in another sitting.
    const left = userIds.filter((userId) => !here.has(userId) && sent.has(userId))
    if (left.length === 0 || of !== sitting) return
    for (const userId of left) sent.delete(userId)
    await countOut(of, left, only)
  }

  /** Takes users out of a sitting; `told` have been told to be leaving. */
  async function countOut(of: string, userIds: readonly string[], told: readonly string[]): Promise<void> {
    const gone = await namesOf(leaveScript, of, [silenceMs, ...userIds])
    await sayLeaving(hooks, gone.filter((userId) => !told.includes(userId)))
    if (gone.length > 0) hooks.onMoved(gone)
  }

  /** Counts out a dead sitting. Where this is broken off, the next one to take it on goes on from there. */
  async function bury(dead: string): Promise<void> {
    for (;;) {
      const userIds = await options.srandmember(keys.usersOf(dead), usersAtOnce)
      if (userIds.length === 0) break
      // Who has just come here from there is first told of.
      const left = userIds.filter((userId) => !here.has(userId) || sent.has(userId))
      const only = await namesOf(onlyScript, dead, left)
      await sayLeaving(hooks, only.filter((userId) => !noted.has(userId)))
      await countOut(dead, left, only)
      await sleep(pauseMs, undefined, { ref: false })
    }
    await namesOf(forgetScript, dead, [])
  }

  async function renew(): Promise<void> {
    const of = sitting
    const count = sent.size
    const isSteady = steadySince !== null && performance.now() - steadySince >= silenceMs
    // Once Redis is back from wherever it was, everybody's lease is over: each replica first gets time to renew its own.
    const args = [of, lease, silenceMs, isSteady ? deadAtOnce : 0, silenceMs]
    const reply = await options.run(beatScript, keysOf(of), args)
    const [now, , end, users, dead] = reply as [number, number, number, number, string[]]
    offset = now - performance.now()
    const isWell = end > 0 && users === count && !isInDoubt
    for (const sittingOfDead of dead) bury(sittingOfDead).catch(onError)
    if (!isWell) {
      steadySince = null
      beginAnew()
      return renew()
    }
    lease = String(end)
    steadySince ??= performance.now()
  }

  return {
    join(userId) {
      here.add(userId)
      noted.delete(userId)
      unnoted.delete(userId)
      pending.add(userId)
      void tell()
    },
    leave(userId) {
      here.delete(userId)
      known.delete(userId)
      pending.add(userId)
      if (isInDoubt) leaveInDoubt(userId)
      void tell()
    },
    has: (userId) => here.has(userId) || sent.has(userId),
    doubt,
    async look(userIds) {
      const [born, ...places] = await options.hmget(keys.where, [bornField, ...userIds])
      const age = born == null ? 0 : performance.now() + offset - Number(born)
      // A part that is new lacks those of whom it has not been told yet.
      const isComplete = steadySince !== null && age >= options.settleMs
      places.forEach((place, nth) => {
        const userId = userIds[nth]!
        const isThere = place?.split(' ').some((one) => !one.startsWith(`${options.replica}.`)) ?? false
        if (isThere) elsewhere.set(userId, true)
        else if (isComplete) elsewhere.delete(userId)
      })
    },
    async beat() {
      if (isBeating) return
      isBeating = true
      try {
        await renew()
      } catch (error) {
        doubt()
        onError(error)
      } finally {
        isBeating = false
      }
    },
    part: (ms) => options.run(partScript, keysOf(sitting).slice(0, partScript.keys), [sitting, ms]),
  }
}

/** Takes some out of a set. */
function take(set: Set<string>, most: number): string[] {
  const taken: string[] = []
  for (const item of set) {
    taken.push(item)
    set.delete(item)
    if (taken.length === most) break
  }
  return taken
}
