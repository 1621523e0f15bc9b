import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Database, openDatabase } from '../../drizzle/connection.ts'
import { unavailable } from '../errors.ts'
import { createTestDatabase } from '../testing/test-app.ts'
import { createJobQueue, type JobQueue } from './job-queue.ts'
import { type JobHandlers, jobKinds, type NewJob } from './jobs.ts'

vi.setConfig({ testTimeout: 30_000 })

let database: Database
let queues: JobQueue[]
const failures: unknown[] = []
beforeEach(async () => {
  database = openDatabase({ url: await createTestDatabase(), poolSize: 6, deadlineMs: 20_000, unavailable })
  queues = []
})
afterEach(async () => {
  for (const queue of queues) await queue.close(1_000)
  await database.close()
  const [failure] = failures.splice(0)
  if (failure !== undefined) throw failure
})

function openQueue(): JobQueue {
  const queue = createJobQueue({ database, onError: (error) => failures.push(error) })
  queues.push(queue)
  return queue
}

const refusing = () => {
  throw new Error('not this kind')
}
const handlers = (own: Partial<JobHandlers>): JobHandlers =>
  ({ ...Object.fromEntries(jobKinds.map((kind) => [kind, refusing])), ...own }) as JobHandlers

const messages = (channelId: string): NewJob => ({ kind: 'push', data: { channelId, firstSeq: 1, lastSeq: 2 } })
const add = (queue: JobQueue, jobs: NewJob[]) => database.transaction((tx) => queue.add(tx, jobs))

test('a job exists if the transaction does, and is run at once', async () => {
  const queue = openQueue()
  const done: { channelId: string; after: number }[] = []
  await queue.work(handlers({ push: async ({ channelId }) => void done.push({ channelId, after: Date.now() }) }))
  const undone = database.transaction(async (tx) => {
    await queue.add(tx, [messages('1')])
    throw new Error('no')
  })
  await expect(undone).rejects.toThrow('no')
  const before = Date.now()
  await add(queue, [messages('2'), messages('3')])
  await expect.poll(() => done.map(({ channelId }) => channelId).toSorted()).toEqual(['2', '3'])
  // Woken, and not found with the next look, which is up to two seconds later.
  expect(done[0]!.after - before).toBeLessThan(1_500)
})

test('text, quotes, Korean and dates come through as they are', async () => {
  const queue = openQueue()
  const keys = ['["a"]', '{"b":1}', '한국어 "따옴표" \\ 역슬래시', '$1 {x}']
  const seen: unknown[] = []
  await queue.work(handlers({ 'files-remove': async (data) => void seen.push(data) }))
  await add(queue, [{ kind: 'files-remove', data: { keys } }])
  await expect.poll(() => seen).toEqual([{ keys }])
})

test('one that throws is tried again, and later laid aside, read and put back', async () => {
  const queue = openQueue()
  let calls = 0
  let isBroken = true
  await queue.work(
    handlers({
      'link-preview': async () => {
        calls++
        if (isBroken) throw new Error(`attempt ${calls}`)
      },
    }),
  )
  await add(queue, [{ kind: 'link-preview', data: { channelId: '1', messageId: '2' } }])
  await expect.poll(() => queue.operator.laidAside(10), { timeout: 25_000, interval: 250 }).toHaveLength(1)
  expect(calls).toBe(4)
  const [aside] = await queue.operator.laidAside(10)
  expect(aside).toMatchObject({ kind: 'link-preview', data: { channelId: '1', messageId: '2' }, reason: 'attempt 4' })
  const counts = await queue.operator.counts()
  expect(counts.find(({ kind }) => kind === 'link-preview')).toMatchObject({ laidAside: 1, active: 0 })

  isBroken = false
  expect(await queue.operator.requeue({ kind: 'media' })).toBe(0)
  expect(await queue.operator.requeue({ id: aside!.id })).toBe(1)
  await expect.poll(() => calls).toBe(5)
  expect(await queue.operator.laidAside(10)).toEqual([])
})

test('of jobs with one key one waits; without a key all do', async () => {
  const queue = openQueue()
  const soon = new Date(Date.now() + 500)
  const digest = (userId: string): NewJob => ({ kind: 'email-digest', data: { userId }, key: userId, startAfter: soon })
  await add(queue, [digest('1'), digest('2')])
  await add(queue, [digest('1'), messages('1'), messages('1')])
  const done: string[] = []
  await queue.work(
    handlers({
      'email-digest': async ({ userId }) => void done.push(`mail ${userId}`),
      push: async ({ channelId }) => void done.push(`message ${channelId}`),
    }),
  )
  await expect.poll(() => done.toSorted(), { timeout: 10_000 }).toEqual(['mail 1', 'mail 2', 'message 1', 'message 1'])
})

test('two processes share the work, and none is done twice', async () => {
  const done: string[] = []
  const [one, other] = [openQueue(), openQueue()]
  const handle = (name: string) =>
    handlers({ push: async ({ channelId }) => void done.push(`${name} ${channelId}`) })
  await Promise.all([one.work(handle('one')), other.work(handle('other'))])
  const names = Array.from({ length: 200 }, (_, nth) => String(nth + 1))
  await add(one, names.map(messages))
  other.wake(['push'])
  await expect.poll(() => done.length, { timeout: 20_000 }).toBe(200)
  expect(done.map((each) => each.split(' ')[1]!).toSorted()).toEqual(names.toSorted())
})

test('a process that ends lets what is under way end, and tells what does not', async () => {
  const queue = openQueue()
  const ended: string[] = []
  await queue.work(
    handlers({
      push: (_, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('stopped')))),
      'push-read': async ({ userId }) => {
        await new Promise((resolve) => setTimeout(resolve, 300))
        ended.push(userId)
      },
    }),
  )
  await add(queue, [messages('1'), { kind: 'push-read', data: { userId: '7', channelId: '1', seq: 1 } }])
  await new Promise((resolve) => setTimeout(resolve, 200))
  await queue.close(1_000)
  expect(ended).toEqual(['7'])
  // It is another's now.
  const next = openQueue()
  const taken: string[] = []
  await next.work(handlers({ push: async ({ channelId }) => void taken.push(channelId) }))
  await expect.poll(() => taken, { timeout: 15_000 }).toEqual(['1'])
})
