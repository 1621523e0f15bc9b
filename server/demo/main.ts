import { fileURLToPath } from 'node:url'
import { MaruClientError } from '../../client-sdk/index.ts'
import { ConfigError } from '../config.ts'
import { settings } from '../config-settings.ts'
import { readLog } from '../import/read-log.ts'
import { keptSecret } from '../lib/secrets.ts'
import { readSettings } from '../lib/settings.ts'
import { UsageError } from '../lib/usage-error.ts'
import { assemble, openChannel, waitForGuest } from './cast.ts'
import { type Command, help, parseCommand, type Talk } from './command.ts'
import { invitation } from './invitation.ts'
import { replay } from './replay.ts'

/** What the channel says of where its talk is from, as the licences ask. */
const topics: Record<Talk, string> = {
  ubuntu: '#ubuntu on 12 June 2005. From irc-disentanglement (Kummerfeld et al., ACL 2019), CC BY 4.0.',
  korean: 'From Chatbot_data by Youngsook Song, MIT.',
}

const say = (text: string) => void process.stdout.write(`${text}\n`)

async function run(command: Command, dataDir: string, signal: AbortSignal): Promise<void> {
  const { url, talk } = command
  const log = await readLog(fileURLToPath(new URL(`./${talk}.jsonl`, import.meta.url)), 'maru')
  const [name, lines] = [...log.channels][0]!
  const people = [...new Set(lines.map((line) => line.author))]

  say(`Signing in ${people.length} people at ${url} …`)
  const cast = await assemble(url, await keptSecret(dataDir, 'demo-secret'), people, signal)
  try {
    const channelId = await openChannel(cast, name, topics[talk])
    say(invitation(url, name, channelId))
    if (command.waitSeconds > 0) {
      say(`They begin when somebody joins, and in ${command.waitSeconds} s at the latest.\n`)
      await waitForGuest(cast, channelId, command.waitSeconds * 1_000, signal)
    }
    do {
      await replay(cast, channelId, lines, command.speed, signal, (line) => say(`<${line.author}> ${line.text}`))
    } while (command.loop)
    say(`\nThat was all: ${lines.length} messages. npm run demo -- --loop goes on for ever.`)
  } finally {
    for (const client of cast.values()) client.close()
  }
}

/** What a server on this machine goes by: where it keeps its secrets this keeps its own, and where it listens. */
function readServerSettings(env: NodeJS.ProcessEnv): { dataDir: string; port: number } {
  const { values, faults } = readSettings({ DATA_DIR: settings.DATA_DIR, PORT: settings.PORT }, [], env)
  if (faults.length > 0) throw new ConfigError(faults)
  return { dataDir: values.DATA_DIR, port: values.PORT }
}

/** Says what went wrong in words that help. */
function explain(error: unknown, url: string): string {
  if (error instanceof UsageError) return `${error.message}\n--help tells how.`
  if (error instanceof ConfigError) return error.message
  if (!(error instanceof MaruClientError)) return String(error instanceof Error ? error.stack : error)
  if (error.code === 'NETWORK') {
    return `${url}: ${error.message} Is Maru running there? Start it with npm start, or name another server with --url.`
  }
  return `The server says ${error.code}: ${error.message}`
}

let url = ''
const stopping = new AbortController()
try {
  const { dataDir, port } = readServerSettings(process.env)
  const command = parseCommand(process.argv.slice(2), port)
  if (command === null) say(help)
  else {
    url = command.url
    process.on('SIGINT', () => stopping.abort())
    process.on('SIGTERM', () => stopping.abort())
    await run(command, dataDir, stopping.signal)
  }
} catch (error) {
  if (!stopping.signal.aborted) {
    process.stderr.write(`${explain(error, url)}\n`)
    process.exitCode = error instanceof UsageError ? 2 : 1
  }
}
