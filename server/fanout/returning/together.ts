import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import type { Admission } from './admission.ts'

/** The least time between the beginnings of two reads under one key, in milliseconds: a hundred of them in a second. */
const defaultApartMs = 10

/** Asks for something in one read with all who ask for the like under the same key. `who` is taken turns with. */
export type AskTogether<Asked, Answer> = (key: string, who: string, asked: Asked) => Promise<Answer>

/** Those who will be answered by the same read. */
type Party<Asked, Answer> = {
  /** Who came first. */
  who: string
  asked: Asked[]
  answers: Promise<readonly Answer[]>
  resolve: (answers: readonly Answer[]) => void
  reject: (error: unknown) => void
}

/**
 * Gathers those who ask at about the same moment, so that the number of reads follows time and not the number of those
 * who ask. Under one key there is one read at a time; whoever comes while it is under way, or waits for its turn among
 * all, shares the next one. An answer is never older than the asking: the read that gives it begins afterwards.
 */
export function createTogether<Asked, Answer>(options: {
  admission: Pick<Admission, 'run'>
  /** One answer for each, in their order. */
  read: (key: string, asked: readonly Asked[]) => Promise<readonly Answer[]>
  /** How many one read may be for. */
  most: number
  apartMs?: number
}): AskTogether<Asked, Answer> {
  const { admission, read, most, apartMs = defaultApartMs } = options
  /** Those who wait, by key, in parties; a key without any has one that is being answered. */
  const lines = new Map<string, Party<Asked, Answer>[]>()

  async function answer(key: string, line: Party<Asked, Answer>[]): Promise<void> {
    // Whoever asks within this turn of the event loop comes along.
    await setImmediate()
    for (let first = line[0]; first !== undefined; first = line[0]) {
      let began = 0
      await admission
        .run(first.who, () => {
          // From here on nobody joins them.
          line.shift()
          began = performance.now()
          return read(key, first.asked)
        })
        .then(first.resolve, first.reject)
      // Even if nobody waits: whoever comes next may be the first of many.
      const pause = began + apartMs - performance.now()
      if (pause > 0) await sleep(pause)
    }
    lines.delete(key)
  }

  function join(line: Party<Asked, Answer>[], who: string): Party<Asked, Answer> {
    const last = line.at(-1)
    if (last !== undefined && last.asked.length < most) return last
    const { promise: answers, resolve, reject } = Promise.withResolvers<readonly Answer[]>()
    const party = { who, asked: [], answers, resolve, reject }
    line.push(party)
    return party
  }

  return async (key, who, asked) => {
    const known = lines.get(key)
    const line = known ?? []
    const party = join(line, who)
    const place = party.asked.push(asked) - 1
    if (known === undefined) {
      lines.set(key, line)
      void answer(key, line)
    }
    return (await party.answers)[place]!
  }
}
