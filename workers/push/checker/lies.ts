import type { Evidence, Taken } from './evidence.ts'
import type { Device, Ledger } from './ledger.ts'
import type { Promised } from './verdict.ts'

/** Something that did not happen so, and the promise that must seem to be broken by it. */
export type Lie = { lie: string; found: Promised; tell(ledger: Ledger, evidence: Evidence): Evidence }

const isSingle = (one: Taken) => one.kind === 'show' && one.key !== null

/** Somebody who hears everything, and has been told of something once. */
function pickTold(evidence: Evidence): Taken {
  const shown = evidence.taken.filter(isSingle)
  const times = Map.groupBy(shown, (one) => `${one.device.id} ${one.key}`)
  const found = shown.find(
    ({ device, key }) => device.owner.role === 'plain' && times.get(`${device.id} ${key}`)!.length === 1,
  )
  if (found === undefined) throw new Error('Nobody was told of anything.')
  return found
}

/** The same notice on another device of this kind of person, who is in the channel, too. */
function misled(ledger: Ledger, evidence: Evidence, isIt: (device: Device) => boolean): Taken {
  for (const one of evidence.taken.filter(isSingle)) {
    const message = ledger.messages.find(({ channel, seq }) => `${channel.id} ${seq}` === one.key)
    const there = ledger.people.filter((person) => message !== undefined && person.places.has(message.channel))
    const device = there.flatMap((person) => person.devices).find(isIt)
    if (device !== undefined) return { ...one, device }
  }
  throw new Error('There is nobody to be told by mistake.')
}

const adding = (evidence: Evidence, ...more: Taken[]): Evidence => ({
  ...evidence,
  taken: [...evidence.taken, ...more],
})

const toOneWhoIs = (role: Device['owner']['role']): Lie => ({
  lie: `told somebody who is not to be told: ${role}`,
  found: 'untold',
  tell: (ledger, evidence) => adding(evidence, misled(ledger, evidence, ({ owner }) => owner.role === role)),
})

/** Ways to break each of the promises. */
export const lies: readonly Lie[] = [
  {
    lie: 'dropped one',
    found: 'told',
    tell(_, evidence) {
      const dropped = pickTold(evidence)
      return { ...evidence, taken: evidence.taken.filter((one) => one !== dropped) }
    },
  },
  {
    lie: 'dropped a summary',
    found: 'told',
    tell(_, evidence) {
      const dropped = evidence.taken.find((one) => one.kind === 'show' && one.count !== null)
      if (dropped === undefined) throw new Error('Nothing was summed up.')
      return { ...evidence, taken: evidence.taken.filter((one) => one !== dropped) }
    },
  },
  {
    lie: 'sent one twice, long after',
    found: 'once',
    tell(_, evidence) {
      const told = pickTold(evidence)
      // Before anything could go wrong with it, and after everything has.
      return adding(
        { ...evidence, taken: evidence.taken.filter((one) => one !== told) },
        { ...told, at: 1 },
        { ...told, at: evidence.end },
      )
    },
  },
  {
    lie: 'sent one twice, to another place',
    found: 'replaced',
    tell(_, evidence) {
      const told = pickTold(evidence)
      return adding(evidence, { ...told, collapseId: 'another' })
    },
  },
  {
    lie: 'told the author',
    found: 'untold',
    tell(ledger, evidence) {
      const message = ledger.messages.find(({ author }) => author.devices.length > 0)!
      const one = pickTold(evidence)
      const key = `${message.channel.id} ${message.seq}`
      return adding(evidence, { ...one, key, device: message.author.devices[0]!, at: message.answered + 100 })
    },
  },
  toOneWhoIs('muted'),
  toOneWhoIs('none'),
  toOneWhoIs('quiet'),
  toOneWhoIs('busy'),
  {
    lie: 'told somebody from another channel',
    found: 'untold',
    tell(ledger, evidence) {
      for (const { channel, seq } of ledger.messages) {
        const one = evidence.taken.filter(isSingle).find(({ key }) => key === `${channel.id} ${seq}`)
        const stranger = ledger.people.find((person) => !person.places.has(channel))
        const [device] = stranger?.devices ?? []
        if (one !== undefined && device !== undefined) return adding(evidence, { ...one, device })
      }
      throw new Error('Everybody is everywhere.')
    },
  },
  {
    lie: 'told of what was never said',
    found: 'untold',
    tell: (_, evidence) => adding(evidence, { ...pickTold(evidence), key: 'nowhere 1' }),
  },
  {
    lie: 'told of what was deleted long before',
    found: 'untold',
    tell(ledger, evidence) {
      const one = pickTold(evidence)
      const message = ledger.messages.find(
        (each) => each.deleted.now() && each.channel.members.some(({ role }) => role === 'plain'),
      )
      if (message === undefined) throw new Error('Nothing was deleted.')
      const device = message.channel.members.find(({ role }) => role === 'plain')!.devices[0]!
      return adding(evidence, { ...one, device, key: `${message.channel.id} ${message.seq}`, at: evidence.end + 1e9 })
    },
  },
  {
    lie: 'shown fewer than none',
    found: 'badge',
    tell: (_, evidence) => adding(evidence, { ...pickTold(evidence), badge: -1 }),
  },
  {
    lie: 'shown another number in the end',
    found: 'badge',
    tell: (_, evidence) => ({
      ...evidence,
      icons: evidence.icons.map((icon, nth) => (nth === 0 ? { ...icon, badge: icon.unread + 1 } : icon)),
    }),
  },
  {
    lie: 'noted a reason that was none',
    found: 'log',
    tell: (_, evidence) => ({
      ...evidence,
      rows: evidence.rows.map((row) =>
        row.reason === 'MUTED' && row.device.owner.role === 'muted' ? { ...row, reason: 'BLOCKED' } : row,
      ),
    }),
  },
  {
    lie: 'left a job',
    found: 'done',
    tell: (_, evidence) => ({
      ...evidence,
      leftovers: { ...evidence.leftovers, jobs: [{ kind: 'push', state: 'retry', count: 1 }] },
    }),
  },
  {
    lie: 'laid a job aside',
    found: 'done',
    tell: (_, evidence) => ({ ...evidence, leftovers: { ...evidence.leftovers, laidAside: ['push: unforeseen'] } }),
  },
  {
    lie: 'gone on asking for a token that is dead',
    found: 'dead',
    tell: (_, evidence) => ({ ...evidence, calm: { ...evidence.calm, requests: evidence.calm.requests + 100 } }),
  },
  {
    lie: 'asked for what no provider takes',
    found: 'protocol',
    tell: (_, evidence) => ({ ...evidence, complaints: ['400 BadTopic'] }),
  },
]
