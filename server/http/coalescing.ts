import { setTimeout as sleep } from 'node:timers/promises'
import type { Answer, Group } from '../fanout/live/group.ts'
import type { Viewer } from '../viewer.ts'
import { dependsOnViewer, resumeVariables } from './coalescing-key.ts'
import { nobodyInParticular, withoutCookies } from './caller.ts'
import type { CreateContext } from './caller.ts'
import type { Format, Operation, Operations } from './operations.ts'

/** How long an event waits before it is executed again, in milliseconds: the store is asked by all that wait. */
const retryMs = 1_000

/** The coalescing groups of this replica. */
export type Coalescing = {
  /** The group of a subscription. Every `join` needs its `leave`. */
  join(operation: Operation, viewer: Viewer | null): Group
  leave(group: Group): void
  /** How many groups there are. */
  size(): number
}

type Member = Group & { key: string; members: number }

/** Groups subscriptions by everything that can change an answer, and answers once for each group. */
export function createCoalescing(options: {
  operations: Operations
  createContext: CreateContext
  format: Format
  /** Called for each execution, with its time. */
  onExecuted?: ((name: string | null, durationMs: number) => void) | undefined
}): Coalescing {
  const groups = new Map<string, Member>()

  function open(key: string, operation: Operation, viewer: Viewer | null): Member {
    const answered = new WeakMap<object, Promise<Answer>>()

    async function execute(item: unknown, round: readonly unknown[]): Promise<Answer> {
      const event = { item, round, isShared: viewer === null }
      const contextFor = () => options.createContext({ ...nobodyInParticular, ...withoutCookies, viewer, event })
      for (;;) {
        const started = performance.now()
        const result = await options.operations.executeEvent(operation, item, contextFor, options.format)
        options.onExecuted?.(operation.name, performance.now() - started)
        // An event that is told without its data is lost: the cursor of the next one is beyond it. So it waits for the
        // store to come back, as the stream itself does.
        const isAway = result.errors?.some((error) => error.extensions.code === 'UNAVAILABLE') ?? false
        if (!isAway || group.members === 0) return Buffer.from(JSON.stringify(result))
        await sleep(retryMs, undefined, { ref: false })
      }
    }

    const group: Member = {
      key,
      members: 0,
      answer(items) {
        return Promise.all(
          items.map((item) => {
            if (typeof item !== 'object' || item === null) return execute(item, items)
            const known = answered.get(item)
            if (known !== undefined) return known
            const answer = execute(item, items)
            // Kept for others, of whom there are none in most groups.
            if (group.members > 1) answered.set(item, answer)
            return answer
          }),
        )
      },
    }
    return group
  }

  return {
    join(operation, viewer) {
      const seenAs = viewer !== null && dependsOnViewer(operation.args) ? viewer : null
      const key = keyOf(operation, seenAs)
      let group = groups.get(key)
      if (group === undefined) groups.set(key, (group = open(key, operation, seenAs)))
      group.members++
      return group
    },
    leave(group) {
      const member = group as Member
      if (--member.members === 0) groups.delete(member.key)
    },
    size: () => groups.size,
  }
}

let documents = 0
const documentNumbers = new WeakMap<object, number>()

/** Documents are kept by their text, so that the same text is the same object while anybody uses it. */
function numberOf(document: object): number {
  const known = documentNumbers.get(document)
  if (known !== undefined) return known
  documentNumbers.set(document, ++documents)
  return documents
}

function keyOf({ args }: Operation, viewer: Viewer | null): string {
  const resume = resumeVariables(args)
  const variables = Object.entries(args.variableValues.coerced).filter(([name]) => !resume.has(name))
  return JSON.stringify([
    numberOf(args.operation),
    variables.toSorted(([one], [other]) => (one < other ? -1 : 1)),
    viewer?.userId ?? null,
  ])
}
