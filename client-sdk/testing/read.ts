/** The next `count` events; the stream stays open. */
export async function take<Event>(events: AsyncIterator<Event>, count: number): Promise<Event[]> {
  const taken: Event[] = []
  while (taken.length < count) {
    const { value, done } = await events.next()
    if (done) throw new Error(`The stream ended after ${taken.length} of ${count} events.`)
    taken.push(value)
  }
  return taken
}

/** Everything until the stream ends. */
export async function readAll<Event>(events: AsyncIterable<Event>): Promise<Event[]> {
  const read: Event[] = []
  for await (const event of events) read.push(event)
  return read
}

/** Waits until it is so: for what shows only in what the other side has seen. */
export async function until(isSo: () => boolean, what = isSo.toString()): Promise<void> {
  const deadline = Date.now() + 5_000
  while (!isSo()) {
    if (Date.now() > deadline) throw new Error(`Waited 5 s in vain: ${what}`)
    await sleep(5)
  }
}

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** 1, 2, 3 … up to `last`. */
export const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1)
