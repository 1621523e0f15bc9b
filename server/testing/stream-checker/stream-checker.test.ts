import { afterAll, beforeAll, expect, test } from 'vitest'
import { discardDataDir, killAll, makeDataDir } from '../server-process.ts'
import type { Chronicle } from './chronicle.ts'
import { type Liar, makeLiars } from './liars.ts'
import { checkStreams } from './run.ts'

/** Another seed makes another story, though not the same one twice: processes run at their own pace. */
const seed = Number(process.env.STREAMS_SEED ?? 20_261_121)

let dataDir: string
let chronicle: Chronicle
const { liars, corrupt, isLiedTo } = makeLiars()

beforeAll(async () => {
  dataDir = await makeDataDir()
  chronicle = await checkStreams({
    dataDir, seed, seconds: 18, deliveries: 0, roundSeconds: 60, quietMs: 2_500, subscribers: 45, bus: 'redis', weigh: false,
    corrupt, isLiedTo,
    onStart(stage, cast) {
      // A send that nobody has stored, and a replica that somebody else ends.
      stage.ledger.channel(cast.general.id).acknowledge('key-0', 'a message that never was')
      process.kill(stage.replicas[2]!.pid()!, 'SIGKILL')
    },
  })
  liars.push(
    { who: 'history', lie: 'has lost a message', found: ['acknowledged'] },
    { who: 'replica 3', lie: 'ends by itself', found: ['replica'] },
  )
}, 240_000)

afterAll(async () => {
  killAll()
  await discardDataDir(dataDir)
})

test(`streams do as they promise, whatever goes wrong (seed ${seed})`, () => {
  const honest = chronicle.findings.filter(({ kind, who, text }) => {
    // Of two who disagree either may be lied to.
    const isLie = liars.some((liar) => liar.who === who || (kind === 'agreement' && text.includes(liar.who)))
    return !isLie
  })
  expect(honest.map(({ text }) => text)).toEqual([])
  for (const what of ['deliveries', 'sends acknowledged', 'connections', 'people put out', 'sessions ended', 'slow spells']) {
    expect([what, chronicle.counted(what)]).not.toEqual([what, 0])
  }
})

test('and whenever somebody is told that they do not, it is noticed', () => {
  const isNoticed = ({ who, found }: Liar) =>
    chronicle.findings.some((finding) => finding.who === who && found.includes(finding.kind))
  expect(liars.length).toBeGreaterThan(10)
  expect(liars.filter((liar) => !isNoticed(liar))).toEqual([])
})
