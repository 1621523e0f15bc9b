import type { Transaction } from '../../drizzle/connection.ts'

/** The letters "im": the other half of the key is the schema, so that deployments may share a database. */
const importLock = 0x696d

/** Lets one import at a time make people or channels, until the transaction ends: two would make the same ones. */
export const lockImports = (tx: Transaction) =>
  tx.run('select pg_advisory_xact_lock($1, hashtext(current_schema()))', [importLock])
