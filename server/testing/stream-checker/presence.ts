import type { Random } from '../random.ts'
import type { Corrupt } from './audience.ts'
import type { Cast } from './cast.ts'
import { ask, Away } from './client.ts'
import { type Device, serverPatienceMs, startDevice } from './device.ts'
import type { Listener } from './listener.ts'
import { isForNow, listenToMessages } from './messages-listener.ts'
import type { Selection } from './selections.ts'
import { comesAbout, type Person, type Stage } from './stage.ts'

type Watcher = Listener & { statuses: Map<string, string> }

/** The grace period of ten seconds, and time for a replica that was killed to be given up by the others. Milliseconds. */
const truthfulWithinMs = 30_000

function watch(stage: Stage, name: string, userIds: readonly string[]): Watcher {
  const { chronicle } = stage
  const trail = chronicle.trail(name)
  const statuses = new Map<string, string>()
  const query = 'subscription($userIds: [ID!]!) { presence(userIds: $userIds) { user { id } presence { status } } }'
  return {
    trail,
    statuses,
    open: async () => ({ query, variables: { userIds } }),
    next({ presence: { user, presence } }) {
      chronicle.count('presence told')
      trail.note(`${user.id} is ${presence.status}`)
      statuses.set(user.id, presence.status)
    },
    ended: (code) => isForNow(code, { trail }, chronicle),
    lacks: () => null,
  }
}

/** Some come and go, others watch them. */
export function createPresence(
  stage: Stage,
  cast: Cast,
  selection: Selection,
  cursor: string,
  fork: () => Random,
  options: { corrupt?: Corrupt; mayVanish: boolean },
) {
  const { corrupt = () => undefined, mayVanish } = options
  const { chronicle, ledger } = stage
  const ids = cast.seen.map((person) => person.id)
  const start = (person: Person, name: string, listeners: Listener[]) => {
    const tamper = corrupt({ name, asks: 'messages' })
    return startDevice({ name, token: person.token, listeners, random: fork(), saysGoodbye: !mayVanish, ...(tamper && { tamper }) }, stage)
  }

  const visitors = cast.seen.map((person) => {
    const name = `${person.username}’s device`
    const channel = ledger.channel(cast.general.id)
    const listener = listenToMessages({ chronicle, name, channel, userId: person.id, selection, cursor })
    return { person, listener, device: start(person, name, [listener]) }
  })
  const watchers = cast.writers.slice(0, 4).map((person) => {
    const name = `${person.username}, who watches`
    const watcher = watch(stage, name, ids)
    return { name, watcher, device: start(person, name, [watcher]) }
  })

  /** What somebody else sees of the visitors who asks a replica. */
  async function look(url: string, token: string): Promise<Map<string, string>> {
    const query = 'query($ids: [ID!]!) { nodes(ids: $ids) { ... on User { id presence { status } } } }'
    const { nodes } = await ask(url, token, query, { ids })
    return new Map(nodes.map((node: any) => [node.id, node.presence.status]))
  }

  return {
    devices: [...visitors, ...watchers].map(({ device }): Device => device),
    listeners: visitors.map(({ listener }) => listener),

    /**
     * To be called when it has become calm: half of the visitors go, and everybody must come to know it. They come back
     * at the end.
     */
    async verify(): Promise<void> {
      const truth = new Map<string, string>()
      for (const [nth, { person, device }] of visitors.entries()) {
        const isThere = nth % 2 === 0
        truth.set(person.id, isThere ? 'ONLINE' : 'OFFLINE')
        if (!isThere) await device.stayAway()
      }
      const wrongIn = (seen: ReadonlyMap<string, string>) =>
        [...truth].flatMap(([id, status]) => (seen.get(id) === status ? [] : [{ id, status, seen: seen.get(id) ?? null }]))
      const wrongOf = async (url: string) => wrongIn(await look(url, cast.writers[0]!.token))
      const since = performance.now()
      // Of a connection that broke without a word servers have to find out by themselves, first.
      const vanished = Math.max(...visitors.map(({ device }) => device.vanishedAt() + serverPatienceMs - chronicle.now()), 0)
      const isTrue = await comesAbout(async () => {
        const honest = watchers.filter(({ name }) => !stage.isLiedTo(name))
        if (honest.some(({ watcher }) => wrongIn(watcher.statuses).length > 0)) return false
        for (const { url } of stage.replicas) if ((await wrongOf(url)).length > 0) return false
        return true
      }, truthfulWithinMs + vanished)
      if (isTrue) chronicle.count('milliseconds until presence was true', Math.round(performance.now() - since))
      await accuse(wrongIn, wrongOf)
      for (const { device } of visitors) device.comeBack()
    },
  }

  async function accuse(
    wrongIn: (seen: ReadonlyMap<string, string>) => unknown[],
    wrongOf: (url: string) => Promise<unknown[]>,
  ) {
    for (const { watcher, device } of watchers) {
      const wrong = wrongIn(watcher.statuses)
      if (wrong.length === 0) continue
      const where = { on: device.at()?.name ?? null, visitors: visitors.map((one) => one.device.at()?.name ?? null) }
      chronicle.find('presence', watcher.trail, `${wrong.length} are seen otherwise than they are.`, [where, wrong])
    }
    for (const { name, url } of stage.replicas) {
      const wrong = await wrongOf(url).catch((error: unknown) => {
        if (error instanceof Away) return []
        throw error
      })
      if (wrong.length > 0) chronicle.find('presence', name, `It says of ${wrong.length} what is not so.`, [wrong])
    }
  }
}
