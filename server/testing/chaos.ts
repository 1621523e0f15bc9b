import { crashRounds, type Victim } from './crash.ts'
import { discardDataDir, makeDataDir } from './server-process.ts'

/** `npm run chaos`: kills the server in the midst of sends, over and over; `npm run chaos -- 100` for more rounds. */
const count = Number(process.argv[2] ?? 20)
const kinds: Victim[] = ['both', 'both', 'process', 'postgres']
const victims = Array.from({ length: count }, (_, round) => kinds[round % kinds.length]!)

let shown = 0
const dataDir = await makeDataDir()
try {
  console.log('round  killed    acknowledged  unknown  ready again  messages')
  const rounds = await crashRounds({
    dataDir,
    victims,
    onRound: ({ victim, acknowledged, unknown, readyMs, messages }) =>
      console.log(
        [
          String(++shown).padStart(5),
          victim.padEnd(8),
          String(acknowledged).padStart(13),
          String(unknown).padStart(7),
          `${readyMs} ms`.padStart(11),
          String(messages).padStart(9),
        ].join('  '),
      ),
  })
  const slowest = Math.max(...rounds.map((round) => round.readyMs))
  console.log(`\nEverything acknowledged is there, in order, once. Ready again within ${slowest} ms.`)
} finally {
  await discardDataDir(dataDir)
}
