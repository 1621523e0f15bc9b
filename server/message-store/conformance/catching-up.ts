import { describe, expect, test } from 'vitest'
import { createRandom } from '../../testing/random.ts'
import {
  alice, announceName, appendOld, bob, carol, edit, erase, promote, say, type TwoStores,
} from '../../testing/two-stores.ts'
import {
  applyTo, emptyCopy, failureOf, headOf, numbersTo, readAll, readOn,
} from '../../testing/two-stores-reading.ts'
import { bucketAt, startOf } from '../bucket-time.ts'
import type { Change, Position } from '../changes.ts'
import { expire } from '../expire.ts'
import type { MessageRow } from '../rows.ts'
import { snowflakeAt } from '../snowflake.ts'

/** Reading on from a position: everything that changed after it, each thing once, in the order of the changes. */
export function describeCatchingUp(stores: TwoStores): void {
  const { here, there, outside, newChannel } = stores
  const start: Position = { change: 0, seq: 0 }
  const now = bucketAt(Date.now())

  const tell = (change: Change) => {
    if (change.type === 'message') return `${change.kind} ${change.message.content}`
    return change.type === 'member' ? `${change.member.userId} is ${change.member.leftAt === null ? change.member.role : 'gone'}` : 'channel'
  }
  const pin = (message: MessageRow) =>
    there.store.change(message.channelId, (channel) => channel.touchMessage(message.id, 'PINS_CHANGED', { pinnedAt: new Date() }))

  /** Lets sends go on under version 0, whoever has got which role. */
  const resetRights = (channelId: string) => outside.run('update channels set membership_version = 0 where id = $1', [channelId])

  describe('catching up', () => {
    test('tells each thing once, as it is by now, in the order of the changes; deleted messages without what they said', async () => {
      const channelId = await newChannel()
      const [old, pinned, loved, gone] = await Promise.all(
        ['old', 'pinned', 'loved', 'a secret'].map((content) => say(here, channelId, alice, content, { mentionIds: [bob] })),
      )
      const after = await headOf(there, channelId)
      const fresh = await say(here, channelId, bob, 'new')
      const short = await say(here, channelId, bob, 'a short secret')
      await edit(there, old!, 'edited')
      await pin(pinned!)
      await edit(here, old!, 'edited again')
      await say(here, channelId, carol, 'answer', { root: pinned! })
      await here.store.change(channelId, (channel) => channel.touchMessage(loved!.id, 'REACTIONS_CHANGED', {}))
      await erase(there, gone!)
      await erase(here, short)
      await promote(here, channelId, bob)
      await announceName(there, channelId, 'cake')
      await edit(there, fresh, 'new and edited')
      await announceName(here, channelId, 'coffee')
      await there.store.change(channelId, (channel) => channel.dismiss(bob))

      const { changes, position, pages } = await readOn(there, channelId, after)
      expect(changes.map(tell)).toEqual([
        'EDITED edited again', 'CREATED answer', 'ENRICHED pinned', 'REACTIONS_CHANGED loved', 'DELETED ', 'CREATED ',
        'CREATED cake', 'CREATED new and edited', 'channel', 'CREATED coffee', '2 is gone',
      ])
      expect(JSON.stringify(changes)).not.toContain('secret')
      const deleted = changes.filter((change) => change.type === 'message' && change.message.deletedAt !== null)
      expect(deleted).toMatchObject([{ message: { id: gone!.id, mentionIds: [] } }, { message: { id: short.id } }])
      expect(changes.find((change) => change.type === 'message' && change.message.id === short.id)).toMatchObject({ touched: 'DELETED' })
      const head = await headOf(here, channelId)
      expect(position).toEqual({ change: head.change, seq: head.seq })
      expect(pages.at(-1)).toMatchObject({ complete: true, member: true })
      expect((await here.store.changesSince(channelId, position, 10, bob))!).toMatchObject({ changes: [], complete: true, member: false })
    })

    test('is nothing where nothing has changed, and null where there is no channel', async () => {
      const channelId = await newChannel()
      const nothing = { changes: [], position: start, complete: true, member: true }
      expect(await here.store.changesSince(channelId, start, 10, alice)).toEqual(nothing)
      expect(await here.store.changesSince(channelId, start, 10, '77')).toEqual({ ...nothing, member: false })
      expect(await here.store.changesSince('999999', start, 10, alice)).toBeNull()
    })

    test('from the beginning, by pages of any size, it comes to what is read anew', async () => {
      const channelId = await newChannel()
      const random = createRandom(23)
      const said: MessageRow[] = []
      for (let nth = 0; nth < 60; nth++) {
        const kind = random.next()
        if (kind < 0.6 || said.length === 0) said.push(await say(random.pick([here, there]), channelId, alice, `${nth}`))
        else if (kind < 0.7) await erase(here, random.pick(said))
        else if (kind < 0.8) await promote(there, channelId, bob, random.pick(['ADMIN', 'MEMBER'])).then(() => resetRights(channelId))
        else await edit(there, random.pick(said), `edited ${nth}`)
      }
      const messages = await readAll(here, channelId)
      for (const limit of [1, 2, 3, 7, 59, 60, 61, 1_000]) {
        const { changes, position } = await readOn(there, channelId, start, { limit: () => limit })
        expect(changes.map(({ change }) => change)).toEqual(changes.map(({ change }) => change).toSorted((a, b) => a - b))
        expect(new Set(changes.map(({ change }) => change)).size).toBe(changes.length)
        const told = changes.flatMap((change) => (change.type === 'message' ? [change.message] : []))
        expect(told.toSorted((a, b) => a.seq - b.seq)).toEqual(messages)
        const head = await headOf(here, channelId)
        expect(position).toEqual({ change: head.change, seq: head.seq })
      }
    })

    test.each([1, 2, 3, 4])('while others write it leaves nothing out, and tells nothing twice as it was (%i)', async (seed) => {
      const random = createRandom(100 + seed)
      const channelId = await newChannel()
      const said: MessageRow[] = []
      const write = async () => {
        const process = random.pick([here, there])
        const kind = random.next()
        if (kind < 0.45 || said.length === 0) said.push(await say(process, channelId, alice, 'said'))
        else if (kind < 0.75) await edit(process, random.pick(said), `edited ${random.next()}`)
        else if (kind < 0.8) await erase(process, random.pick(said))
        else if (kind < 0.9) await say(process, channelId, bob, 'answer', { root: random.pick(said) })
        else if (kind < 0.95) await promote(process, channelId, carol, random.pick(['ADMIN', 'MEMBER'])).then(() => resetRights(channelId))
        else await announceName(process, channelId, `${random.next()}`)
      }
      for (let nth = 0; nth < 15; nth++) await write()
      const head = await headOf(here, channelId)
      const copy = applyTo(emptyCopy(), (await readOn(here, channelId, start)).changes)
      const before = new Set(copy.messages.keys())
      for (let nth = 0; nth < 25; nth++) await write()
      const { changes, pages, position } = await readOn(there, channelId, head, {
        limit: () => 1 + random.below(5),
        meanwhile: async () => {
          for (let most = 0; most < 3 && random.chance(0.4); most++) await write()
        },
      })
      const told = new Map<string, number>()
      let last = head.change
      for (const change of changes) {
        expect(change.change).toBeGreaterThan(last)
        last = change.change
        if (change.type !== 'message') continue
        const { id, version } = change.message
        expect(change.kind === 'CREATED').toBe(!before.has(id) && !told.has(id))
        expect(version).toBeGreaterThan(told.get(id) ?? 0)
        told.set(id, version)
      }
      for (const [nth, page] of pages.entries()) {
        const from = pages[nth - 1]?.position ?? head
        for (const { change } of page.changes) {
          expect(change).toBeGreaterThan(from.change)
          expect(change).toBeLessThanOrEqual(page.position.change)
        }
      }
      applyTo(copy, changes)
      expect([...copy.messages.values()].toSorted((a, b) => a.seq - b.seq)).toEqual(await readAll(here, channelId))
      const again = applyTo(emptyCopy(), (await readOn(here, channelId, start)).changes)
      for (const [userId, member] of again.members) expect(copy.members.get(userId)).toEqual(member)
      expect((await readOn(here, channelId, position)).changes).toEqual([])
    })

    test('while others write all the time it keeps to the order, page by page, and ends where they have ended', async () => {
      const channelId = await newChannel()
      const said = await Promise.all(numbersTo(40).map((nth) => say(here, channelId, alice, `${nth}`)))
      let isOver = false
      const writers = [here, there].flatMap((process, which) => [
        ...numbersTo(2).map(async () => {
          for (let nth = 0; nth < 40; nth++) await say(process, channelId, bob, `${which} ${nth}`)
        }),
        (async () => {
          for (let nth = 0; nth < 30; nth++) await edit(process, said[(7 * nth + which) % said.length]!, `edited ${which} ${nth}`)
        })(),
      ])
      const readers = [here, there].map(async (process, which) => {
        const copy = emptyCopy()
        let position = start
        while (true) {
          const isLast = isOver
          const { changes, position: reached } = await readOn(process, channelId, position, { limit: () => (which === 0 ? 3 : 50) })
          applyTo(copy, changes)
          position = reached
          if (isLast) return copy
        }
      })
      await Promise.all(writers)
      isOver = true
      const messages = await readAll(here, channelId)
      for (const copy of await Promise.all(readers)) {
        expect([...copy.messages.values()].toSorted((a, b) => a.seq - b.seq)).toEqual(messages)
      }
    })

    test('where everything new has been touched since nothing is told as it was', async () => {
      const channelId = await newChannel()
      const said = await Promise.all(numbersTo(30).map((nth) => say(here, channelId, alice, `${nth}`)))
      for (const message of said) await edit(there, message, `edited ${message.seq}`)
      for (const limit of [1, 4, 29, 30, 31, 100]) {
        const { changes } = await readOn(here, channelId, start, { limit: () => limit })
        expect(changes.map(tell)).toEqual(numbersTo(30).map((nth) => `CREATED edited ${nth}`))
      }
      const middle = { change: 15, seq: 15 }
      const { changes } = await readOn(here, channelId, middle, { limit: () => 4 })
      expect(changes.map(tell)).toEqual(numbersTo(30).map((nth) => `${nth <= 15 ? 'EDITED' : 'CREATED'} edited ${nth}`))
    })

    test('large messages cut a page short, and it goes on behind them', async () => {
      const channelId = await newChannel()
      for (const nth of numbersTo(4)) await say(here, channelId, alice, `${nth}${'x'.repeat(149_999)}`)
      await say(here, channelId, alice, 'y'.repeat(600_000))
      const { changes, pages } = await readOn(there, channelId, start)
      expect(changes.map(({ change }) => change)).toEqual(numbersTo(5))
      for (const page of pages) expect(page.changes.length).toBeLessThan(3)
      expect(pages.map(({ complete }) => complete)).toEqual(pages.map((_, nth) => nth === pages.length - 1))
    })

    test('what is touched in old months is told beside what is new, and history that is not touched is not', async () => {
      const channelId = await newChannel()
      const ids = [-30, -29, -11, -2].flatMap((nth) => [1, 2].map((day) => snowflakeAt(startOf(now + nth) + day * 86_400_000)))
      await appendOld(outside, channelId, ids.map((id, nth) => ({ id, content: `${nth + 1}` })))
      const head = await headOf(here, channelId)
      const [second, sixth] = (await here.store.messages([1, 5].map((nth) => ({ channelId, messageId: ids[nth]! }))))
        .toSorted((a, b) => a.seq - b.seq)
      await edit(there, sixth!, 'six')
      await say(here, channelId, alice, 'new')
      await erase(there, second!)
      for (const limit of [1, 2, 10]) {
        const { changes } = await readOn(here, channelId, head, { limit: () => limit })
        expect(changes.map(tell)).toEqual(['EDITED six', 'CREATED new', 'DELETED '])
        const all = await readOn(here, channelId, start, { limit: () => limit })
        expect(all.changes.map(tell)).toEqual(
          ['1', '3', '4', '5', '7', '8', 'six', 'new', ''].map((content) => `CREATED ${content}`),
        )
      }
    })

    test('who has not seen what retention took away cannot read on, and whoever has can', async () => {
      const channelId = await newChannel()
      const ids = [-9, -8, -3].flatMap((nth) => [1, 2].map((day) => snowflakeAt(startOf(now + nth) + day * 86_400_000)))
      await appendOld(outside, channelId, ids.map((id, nth) => ({ id, content: `${nth + 1}` })))
      await say(here, channelId, alice, 'new')
      const seventh = await headOf(here, channelId)
      const [first] = await here.store.messages([{ channelId, messageId: ids[0]! }])
      await edit(there, first!, 'touched')
      const eighth = await headOf(here, channelId)
      await say(here, channelId, alice, 'newer')
      expect(await expire(outside, channelId, now - 5)).toBe(true)
      expect(await headOf(there, channelId)).toMatchObject({ expiredChange: 8, seq: 8, change: 9 })
      for (const position of [start, { change: 3, seq: 3 }, seventh]) {
        expect(await failureOf(there.store.changesSince(channelId, position, 10, alice))).toBe('CURSOR_EXPIRED')
      }
      const { changes } = await readOn(there, channelId, eighth)
      expect(changes.map(tell)).toEqual(['CREATED newer'])
    })
  })
}
