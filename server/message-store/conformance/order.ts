import { describe, expect, test, vi } from 'vitest'
import { createRandom } from '../../testing/random.ts'
import {
  alice, announceName, bob, carol, edit, erase, type Process, promote, say, sendOf, type TwoStores,
} from '../../testing/two-stores.ts'
import { expectAllChanges, expectBelongings, expectOneOrder, headOf, numbersTo } from '../../testing/two-stores-reading.ts'
import type { Change } from '../changes.ts'
import type { MessageRow } from '../rows.ts'
import { snowflakeTime } from '../snowflake.ts'

/** Order: what happens in a channel has one order, whoever writes and whatever their clocks say. */
export function describeOrder(stores: TwoStores): void {
  const { here, there, outside, open, newChannel } = stores
  const seqs = (messages: readonly MessageRow[]) => messages.map(({ seq }) => seq)

  /** Checks that messages are of now, whoever wrote them: one of a year ahead would be the newest for a year. */
  async function expectOfNow(messages: readonly MessageRow[]) {
    const [row] = await outside.run<{ now: Date }>('select clock_timestamp() as now', [])
    for (const { id } of messages) expect(Math.abs(+snowflakeTime(id) - +row!.now)).toBeLessThan(60_000)
  }

  describe('order', () => {
    test.each([
      ['six minutes apart', -3, 3],
      ['one right and one a year ahead', 0, 525_600],
      ['one right and one a year behind', 0, -525_600],
    ])('many sends at once by processes with clocks %s: seqs, changes and ids agree, without holes', async (_, ...minutes) => {
      const processes = await Promise.all(minutes.map((minutesOff) => open({ minutesOff })))
      const channelId = await newChannel()
      const sent: MessageRow[] = []
      for (const perWave of [1, 100, 7]) {
        const wave = processes.flatMap((process) =>
          numbersTo(perWave).map((nth) => say(process, channelId, nth % 2 === 0 ? alice : bob, `${nth}`)),
        )
        sent.push(...(await Promise.all(wave)))
      }
      const messages = await expectOneOrder(processes, channelId)
      expect(messages).toEqual(sent.toSorted((a, b) => a.seq - b.seq))
      expectAllChanges(processes.flatMap(({ announced }) => announced), await headOf(here, channelId))
      // What came after a wave was answered comes after it.
      expect(Math.max(...seqs(sent.slice(0, 2)))).toBe(2)
      expect(Math.max(...seqs(sent.slice(0, 202)))).toBe(202)
      await expectOfNow(messages)
      for (const process of processes) await process.close()
    })

    test('sends, edits, deletions, members and what the system says, all at once on both: each change has its number', async () => {
      const channelId = await newChannel()
      const random = createRandom(11)
      const first = await Promise.all(numbersTo(10).map((nth) => say(here, channelId, alice, `${nth}`)))
      const changes: Change[] = []
      const acts: ((process: Process) => Promise<Change[]>)[] = [
        (process) => edit(process, random.pick(first), `edited ${random.next()}`),
        (process) => edit(process, random.pick(first), `edited ${random.next()}`),
        (process) => erase(process, random.pick(first)),
        (process) => announceName(process, channelId, `name ${random.next()}`),
        async (process) => (await process.store.change(channelId, (channel) => channel.admit('4', 'MEMBER')))!.changes,
        // Nothing is a change here.
        async (process) => (await process.store.change(channelId, async () => 'only looked'))!.changes,
      ]
      const from = [here, there].map(({ announced }) => announced.length)
      await Promise.all(
        [here, there].flatMap((process) => [
          ...numbersTo(40).map(async (nth) => void (await say(process, channelId, bob, `${nth}`))),
          ...numbersTo(40).map(async (nth) => {
            const root = random.pick(first)
            await say(process, channelId, carol, `answer ${nth}`, { root, mentionIds: [alice] })
          }),
          ...numbersTo(30).map(async () => void changes.push(...(await random.pick(acts)(process)))),
        ]),
      )
      const announced = [here, there].flatMap((process, nth) => process.announced.slice(from[nth]))
      const messages = await expectOneOrder([here, there], channelId)
      const created = first.map((message): Change => ({
        channelId, change: message.change, seq: message.seq, type: 'message', kind: 'CREATED', message,
      }))
      expectAllChanges([...created, ...announced, ...changes], await headOf(here, channelId))
      const replies = messages.filter(({ content }) => content.startsWith('answer'))
      expect(replies).toHaveLength(80)
      await expectBelongings(outside, channelId, messages)
    })

    test('what the system says keeps to the order, whatever the clock of its process says', async () => {
      const channelId = await newChannel()
      try {
        for (const minutesOff of [5, -5, 525_600, -525_600, 0]) {
          vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + minutesOff * 60_000 })
          await announceName(here, channelId, `${minutesOff} minutes off`)
          vi.useRealTimers()
          await say(there, channelId, bob, 'and bob')
        }
      } finally {
        vi.useRealTimers()
      }
      const messages = await expectOneOrder([here, there], channelId)
      expect(messages).toHaveLength(10)
      await expectOfNow(messages)
    })

    test('a batch is announced in its order: what is new, and after that what it answers, once each', async () => {
      const channelId = await newChannel()
      const [root, other] = [await say(here, channelId, alice, 'root'), await say(here, channelId, alice, 'other root')]
      const from = here.announced.length
      await Promise.all([
        say(here, channelId, bob, 'at once'),
        say(here, channelId, bob, 'one', { root }),
        say(here, channelId, carol, 'two', { root: other }),
        say(here, channelId, carol, 'three', { root }),
        say(here, channelId, alice, 'four'),
      ])
      const told = here.announced.slice(from).map((change) => {
        if (change.type !== 'message') return change.type
        return `${change.change} ${change.kind} ${change.message.content} ${change.message.replyCount}`
      })
      expect(told).toEqual([
        '3 CREATED at once 0', '4 CREATED one 0', '5 CREATED two 0', '6 CREATED three 0', '7 CREATED four 0',
        '8 ENRICHED root 2', '9 ENRICHED other root 1',
      ])
    })

    test('who reads while others write never sees a message without all before it, nor lacks what was answered', async () => {
      const channelId = await newChannel()
      let isOver = false
      let answered = 0
      const readers = [here, there].map(async (process) => {
        let reads = 0
        while (!isOver) {
          const [least, change] = [answered, Number.MAX_SAFE_INTEGER]
          const [page] = await process.store.pages([{ channelId, span: { from: 1, to: 10_000 }, anchor: 'start', change }])
          expect(seqs(page!)).toEqual(numbersTo(page!.length))
          expect(page!.length).toBeGreaterThanOrEqual(least)
          reads++
        }
        return reads
      })
      const writers = [here, there].flatMap((process) =>
        numbersTo(4).map(async () => {
          for (let nth = 0; nth < 25; nth++) {
            const { seq } = await say(process, channelId, alice, `${nth}`)
            answered = Math.max(answered, seq)
          }
        }),
      )
      await Promise.all(writers)
      isOver = true
      for (const reads of await Promise.all(readers)) expect(reads).toBeGreaterThan(0)
      expect(await expectOneOrder([here, there], channelId)).toHaveLength(200)
    })

    test('channels have numbers of their own', async () => {
      const channelIds = await Promise.all(numbersTo(5).map(newChannel))
      await Promise.all(
        channelIds.flatMap((channelId, nth) =>
          numbersTo(10 * (nth + 1)).map((n) => say(n % 2 === 0 ? here : there, channelId, alice, `${n}`)),
        ),
      )
      for (const [nth, channelId] of channelIds.entries()) {
        expect(await expectOneOrder([here, there], channelId)).toHaveLength(10 * (nth + 1))
        expect(await headOf(here, channelId)).toMatchObject({ seq: 10 * (nth + 1), change: 10 * (nth + 1) })
      }
    })

    test('the members of a channel and their roles are part of its order', async () => {
      const channelId = await newChannel()
      await say(here, channelId, alice, 'one')
      const [change] = await promote(there, channelId, bob)
      expect(change).toMatchObject({ change: 2, seq: 1, type: 'member', member: { userId: bob, role: 'ADMIN', change: 2 } })
      const message = (await here.store.send(channelId, 1, sendOf(bob, 'two'))) as { message: MessageRow }
      expect(message.message).toMatchObject({ change: 3, seq: 2 })
    })

    test('processes have worker numbers of their own', async () => {
      const more = await Promise.all(numbersTo(6).map(() => open()))
      const workers = [here, there, ...more].map(({ lease }) => lease.worker())
      expect(new Set(workers).size).toBe(8)
      await Promise.all(more.map((process) => process.close()))
    })
  })
}
