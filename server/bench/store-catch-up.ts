import { createChannelsService } from '../domain/channels.ts'
import { createMembersService } from '../domain/members.ts'
import { createReadStateService } from '../domain/read-state.ts'
import { createCatchUp } from '../message-store/catch-up.ts'
import { changesSince, heads } from '../message-store/changes.ts'
import { createMessageStore } from '../message-store/message-store.ts'
import { createSnowflakes } from '../message-store/snowflake.ts'
import type { BenchStore } from './bench-store.ts'
import { openFilledStore } from './fill-store.ts'
import { filledChannels } from './filled.ts'
import { reportTimes, timesInTurns } from './measure.ts'
import type { BenchOptions } from './options.ts'

const readings = 200

/** As streams read. */
const pageSize = 100
const missed = 1_000

/** Channels that a viewer is in. */
const ownChannels = 500

/** What somebody asks who comes back: what was missed, where everything stands, and what is unread. */
export async function benchStoreCatchUp(options: BenchOptions): Promise<void> {
  const stores: BenchStore[] = []
  try {
    const work: Record<string, () => Promise<unknown>> = {}
    const baseOf = new Map<string, string>()
    for (const messages of options.messages) {
      const store = await openFilledStore(messages, options)
      stores.push(store)
      const label = (what: string, count: number) => `${what}, ${count.toLocaleString('en')} messages`
      for (const [what, read] of Object.entries(await readingsOf(store))) {
        work[label(what, messages)] = read
        baseOf.set(label(what, messages), label(what, options.messages[0]!))
      }
    }
    const times = await timesInTurns(readings, work)
    const sorted = Object.fromEntries(Object.keys(times).toSorted().map((name) => [name, times[name]!]))
    reportTimes('Catching up from the store', sorted, (name) => baseOf.get(name)!)
  } finally {
    for (const store of stores) await store.stop()
  }
}

async function readingsOf(store: BenchStore): Promise<Record<string, () => Promise<unknown>>> {
  const database = store.open(1)
  const snowflakes = createSnowflakes(() => 1)
  const announce = { channel() {}, account() {}, signal() {}, presence() {}, sessionEnded() {} }
  const messageStore = createMessageStore({ database, snowflakes, announce: announce.channel })
  // None of these adds jobs or has files.
  const unused = {} as never
  const limits = { groupMembers: 100, uploadBytes: 0, uploadTypes: [] }
  const deps = { database, snowflakes, store: messageStore, announce, jobs: unused, files: unused, pauses: unused, limits, filter: null }
  const services = {
    channels: createChannelsService(deps),
    members: createMembersService(deps),
    readState: createReadStateService(deps),
  }
  const all = Array.from({ length: 2 * filledChannels }, (_, nth) => String(nth + 1))
  const viewer = String(ownChannels)
  const own = (await services.channels.listOwn(viewer, ownChannels, null)).map(({ channel }) => channel.id)
  if (own.length !== ownChannels) throw new Error(`The viewer is in ${own.length} channels`)
  const [busy] = await heads(database, ['1'])

  return {
    [`${missed.toLocaleString('en')} changes of the busiest channel`]: () => readFrom(busy!.change - missed),
    [`heads of ${all.length.toLocaleString('en')} channels`]: () => heads(database, all),
    [`list of ${ownChannels} own channels`]: () => services.channels.listOwn(viewer, ownChannels, null),
    [`unread messages of ${ownChannels} channels`]: () =>
      services.members.findMany(own.map((channelId) => ({ channelId, userId: viewer }))),
    [`unread mentions in ${ownChannels} channels`]: () => services.readState.unreadMentions(viewer, own),
  }

  /** Reads on to the end. The seq of a cursor may be lower than it could be: then more is looked at, and not told. */
  async function readFrom(change: number) {
    const catchUp = createCatchUp(change)
    let position = { change, seq: 0 }
    for (;;) {
      const page = (await changesSince(database, '1', position, pageSize, viewer, catchUp))!
      if (page.complete) return
      position = page.position
    }
  }
}
