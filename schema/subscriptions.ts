import { isPushStream, type PushStream } from '../server/fanout/live/group.ts'
import { pullIterator } from '../server/lib/pull-iterator.ts'
import type { Context } from './context.ts'
import { requireViewer } from './viewer.ts'

/** A stream whose viewer counts as present for as long as it is open. */
export function whileWatching<Item>(
  context: Context,
  stream: AsyncIterableIterator<Item> | PushStream<Item>,
): AsyncIterable<Item> {
  const leave = context.services.presence.connect(requireViewer(context))
  if (isPushStream(stream)) {
    stream.atEnd(leave)
    return stream
  }
  const pulled = stream as AsyncIterableIterator<Item>
  return pullIterator(
    async () => {
      const next = await pulled.next()
      return next.done === true ? undefined : next.value
    },
    () => {
      leave()
      void pulled.return?.()
    },
  )
}
