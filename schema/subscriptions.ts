import { pullIterator } from '../server/lib/pull-iterator.ts'
import type { Context } from './context.ts'
import { requireViewer } from './viewer.ts'

/** A stream whose viewer counts as present for as long as it is open. */
export function whileWatching<Item>(context: Context, stream: AsyncIterableIterator<Item>): AsyncIterableIterator<Item> {
  const leave = context.services.presence.connect(requireViewer(context))
  return pullIterator(
    async () => {
      const next = await stream.next()
      return next.done === true ? undefined : next.value
    },
    () => {
      leave()
      void stream.return?.()
    },
  )
}
