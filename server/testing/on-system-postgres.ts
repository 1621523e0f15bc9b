import postgres from 'postgres'
import {
  findNewest, installations, oldestMajor, ownerStatements, ownerUrl, runWith, withServers,
} from './system-postgres.ts'

/*
 * Runs a command with TEST_DATABASE_URL set to a Postgres that Debian has installed, in place of the embedded one:
 *
 *     node server/testing/on-system-postgres.ts npx vitest run schema
 *
 * The role in the address owns its database and nothing else: no superuser, no CREATEDB, as at a hosting company. Where
 * the machine has no such Postgres nothing is run, which is said.
 */

const binaries = await findNewest()
if (binaries === null) {
  console.log(`No Postgres ${oldestMajor} or newer under ${installations}: its tests are not run.`)
} else {
  process.exitCode = await withServers(binaries, ['server'], [], async ([server]) => {
    const { port } = server!
    const admin = postgres({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres', max: 1 })
    for (const statement of ownerStatements) await admin.unsafe(statement)
    await admin.end()
    console.log(`On Postgres ${binaries.major} of this machine, as the owner of a database and nothing else:`)
    return runWith(ownerUrl(port), process.argv.slice(2))
  })
}
