import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../random.ts'
import { createDoor, type Door } from '../store-checker/door.ts'
import { openWire, type Wire } from './client.ts'
import type { Listener } from './listener.ts'
import type { Replica } from './replicas.ts'
import type { Stage } from './stage.ts'

/** How a device loses its connection. */
type Drop = 'goodbye' | 'reset' | 'silence' | 'deafness'

/** A client on one socket with a few subscriptions, which comes and goes, and comes back to any replica. */
export type Device = {
  name: string
  listeners: readonly Listener[]
  /** Where it is connected and listens; null where it is not. */
  at(): Replica | null
  /** Goes away for good, or for so long as nobody calls `comeBack`. */
  stayAway(): Promise<void>
  comeBack(on?: Replica): void
  /** When it last left a connection without any server having been told; `-Infinity` if never. */
  vanishedAt(): number
}

export type DeviceOptions = {
  name: string
  token: string
  listeners: readonly Listener[]
  random: Random
  /** Whether it drops by itself and dawdles. */
  isRestless?: boolean
  /** Whether servers always hear of it when it leaves. */
  saysGoodbye?: boolean
  /** Goes through a proxy of ours, which can fall silent. */
  isProxied?: boolean
  tamper?: (frame: string) => string[]
  /** What a close code means to it; `end` where it does not come back. */
  onClosed?: (code: number) => 'goOn' | 'end'
}

/** After these codes clients do not try again: graphql-ws says which. */
const fatalCodes = new Set([4004, 4005, 4400, 4401, 4406, 4409, 4429, 4500])
const otherCodes = new Set([1000, 1001, 1005, 1006, 1012, 1013, 1014])
const isFatal = (code: number) => fatalCodes.has(code) || (code >= 1000 && code < 2000 && !otherCodes.has(code))

/** How long a client that hears nothing any more waits before it gives up: much less than a server does. */
const silentMs = 4_000

/** By then a server must have found out for itself that nobody is there: it pings every 25 seconds. Milliseconds. */
export const serverPatienceMs = 60_000

export function startDevice(options: DeviceOptions, stage: Stage): Device {
  const { name, token, listeners, random, isRestless = true, isProxied = false, saysGoodbye = false } = options
  const { chronicle } = stage
  const trail = listeners[0]!.trail
  let wire: Wire | null = null
  let on: Replica | null = null
  let wanted: Replica | null = null
  let isAway = false
  let hasEnded = false
  let vanishedAt = -Infinity
  let wake = () => {}
  let door: Door | null = null

  /** Idles, unless somebody wakes it. */
  const idle = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })

  async function through(replica: Replica): Promise<string> {
    if (!isProxied) return replica.url
    door = await createDoor(random)
    await door.open(replica.port)
    return replica.url.replace(String(replica.port), String(door.port))
  }

  async function connect(): Promise<boolean> {
    const replica = wanted ?? stage.pickReplica(random, on)
    on = replica
    const opened = openWire({ url: await through(replica), token, tamper: options.tamper })
    wire = opened
    void opened.closed.then((code) => hearClosed(code, opened, replica))
    const isIn = await opened.ready.then(() => true, () => false)
    if (!isIn || wire !== opened) return false
    trail.note(`connected to ${replica.name}`)
    chronicle.count('connections')
    await Promise.all(listeners.map((listener, nth) => subscribe(opened, listener, String(nth))))
    return true
  }

  function hearClosed(code: number, closed: Wire, replica: Replica) {
    if (wire === closed) wire = null
    // We broke it off ourselves.
    if (code === 0) return
    trail.note(`closed by ${replica.name} with ${code}`)
    chronicle.count(`closed with ${code}`)
    if (isFatal(code)) chronicle.find('socket', trail, `Closed with ${code}, after which clients do not come back.`)
    if (options.onClosed?.(code) === 'end') hasEnded = true
    wake()
  }

  async function subscribe(opened: Wire, listener: Listener, id: string): Promise<void> {
    const operation = await listener.open()
    if (operation === null || !opened.isOpen()) return
    opened.subscribe(id, operation.query, operation.variables, {
      next(payload) {
        if (payload.errors !== undefined || payload.data == null) {
          chronicle.find('answer', listener.trail, 'An event has failed.', [payload])
        } else listener.next(payload.data)
      },
      async end(code) {
        if (!opened.isOpen() || chronicle.over.aborted) return
        const what = listener.ended(code)
        if (what === 'never') return
        await sleep(what === 'later' ? 700 : 100 + random.below(400))
        await subscribe(opened, listener, id)
      },
    })
  }

  /** Loses the connection, in one way or another. */
  async function drop(how: Drop) {
    const lost = wire
    if (lost === null) return
    trail.note(`drops: ${how}`)
    chronicle.count(`drops by ${how}`)
    if (how === 'goodbye') lost.close()
    else if (how === 'reset') lost.reset()
    else if (how === 'silence') {
      vanishedAt = chronicle.now()
      // Nothing comes through any more, and neither side is told. The client gives up first.
      fallSilent(door!)
      door = null
      await idle(silentMs)
      lost.forsake()
    } else {
      // It stays open, and nobody reads what comes.
      vanishedAt = chronicle.now()
      lost.pause()
      lost.forsake()
      stage.abandoned.add(lost)
    }
    wire = null
  }

  const howToDrop = () => {
    const chance = random.next()
    if (chance < 0.4) return 'goodbye'
    if (chance < 0.75 || saysGoodbye) return 'reset'
    if (isProxied) return 'silence'
    return chance < 0.8 ? 'deafness' : 'reset'
  }

  /** Stays for a while; until it is closed, calmed down, or has had enough. */
  async function stay() {
    const until = performance.now() + 1_500 + random.below(18_000)
    while (wire !== null && !isAway && !chronicle.over.aborted) {
      if (stage.isCalm() || !isRestless) {
        await idle(100)
        continue
      }
      if (performance.now() > until) return drop(howToDrop())
      if (random.chance(0.04)) {
        const reading = wire
        const ms = 300 + random.below(6_000)
        trail.note(`does not read for ${ms} ms`)
        chronicle.count('slow spells')
        reading.pause()
        await idle(stage.isCalm() ? 0 : ms)
        reading.resume()
      } else await idle(200 + random.below(800))
    }
  }

  async function run() {
    while (!chronicle.over.aborted && !hasEnded) {
      if (isAway) {
        await idle(100)
        continue
      }
      const isIn = await connect().catch((error: unknown) => {
        chronicle.find('answer', trail, String(error))
        return false
      })
      if (isIn) await stay()
      if (isAway && wire !== null) {
        wire.close()
        wire = null
      }
      if (hasEnded) break
      // As clients do, who come back sooner or later.
      await idle(stage.isCalm() ? 50 + random.below(200) : random.chance(0.5) ? random.below(400) : random.below(3_000))
      await door?.shut()
      door = null
    }
    wire?.close()
    wire = null
  }
  const running = run()

  function fallSilent(silent: Door) {
    stage.doors.add(silent)
    const shut = () => silent.shut().finally(() => stage.doors.delete(silent))
    void silent.mute('all', serverPatienceMs).then(shut, shut)
  }

  stage.running.add(running)
  return {
    name,
    listeners,
    at: () => (wire?.isOpen() === true ? on : null),
    vanishedAt: () => vanishedAt,
    async stayAway() {
      isAway = true
      wire?.close()
      wire = null
      wake()
    },
    comeBack(replica) {
      wanted = replica ?? null
      isAway = false
      wake()
    },
  }
}
