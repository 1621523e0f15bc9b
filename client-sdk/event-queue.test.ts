import { expect, it } from 'vitest'
import { EventQueue } from './event-queue.ts'
import { readAll } from './testing/read.ts'

const over = { value: undefined, done: true }
const makeQueue = () => {
  const closings: string[] = []
  return { queue: new EventQueue<string>(() => closings.push('closed')), closings }
}

it('gives events in order, whether they or their readers come first', async () => {
  const { queue } = makeQueue()
  queue.push('a')
  const read = [queue.next(), queue.next(), queue.next()]
  queue.push('b')
  queue.push('c')
  expect((await Promise.all(read)).map(({ value }) => value)).toEqual(['a', 'b', 'c'])
})

it('ends after what is there has been read', async () => {
  const { queue } = makeQueue()
  queue.push('a')
  queue.end()
  queue.push('too late')
  expect(await readAll(queue)).toEqual(['a'])
})

it('throws once, after what is there has been read', async () => {
  const { queue } = makeQueue()
  queue.push('a')
  queue.fail(new Error('lost'))
  expect(await queue.next()).toEqual({ value: 'a', done: false })
  await expect(queue.next()).rejects.toThrow('lost')
  expect(await queue.next()).toEqual(over)
})

it('throws to the first of those who wait, and ends for the others', async () => {
  const { queue } = makeQueue()
  const waiting = [queue.next(), queue.next()]
  queue.fail(new Error('lost'))
  await expect(waiting[0]).rejects.toThrow('lost')
  expect(await waiting[1]).toEqual(over)
})

it('closes at once by return(), and drops what was not read', async () => {
  const { queue, closings } = makeQueue()
  queue.push('a')
  const drained = queue.drained()
  await queue.return()
  await drained
  expect(closings).toEqual(['closed'])
  expect(await queue.next()).toEqual(over)
})

it('closes at the end of the block with `await using`', async () => {
  const { queue, closings } = makeQueue()
  {
    await using events = queue
    events.push('a')
  }
  expect(closings).toEqual(['closed'])
})

it('tells when all has been read', async () => {
  const { queue } = makeQueue()
  await queue.drained()
  for (const event of ['a', 'b']) queue.push(event)
  let drained = false
  const draining = queue.drained().then(() => (drained = true))
  await queue.next()
  expect(drained).toBe(false)
  await queue.next()
  await draining
})
