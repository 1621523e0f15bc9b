import { bigint, boolean, customType, date, index, integer, pgTable, primaryKey, smallint, text } from 'drizzle-orm/pg-core'
import { instant, snowflake } from '../columns.ts'

/** Text in the order of its code points, whatever the database's own order: what begins alike lies together. */
const plainText = customType<{ data: string; driverData: string }>({ dataType: () => 'text collate "C"' })

/**
 * What people and PUBLIC channels are found by as somebody types: a row for each beginning of a word of each name, and
 * one more by its initial consonants, as `server/lib/hangul-keys.ts` spells them. What is found is looked at again before
 * it is shown, so a row that should not be there any more does no harm.
 */
export const nameKeys = pgTable(
  'name_keys',
  {
    /** The first character of the key. */
    lead: plainText().notNull(),
    key: plainText().notNull(),
    kind: text({ enum: ['USER', 'CHANNEL'] }).notNull(),
    subjectId: snowflake('subject_id').notNull(),
    /** How well known it is: see `server/domain/name-keys.ts`. */
    score: smallint().notNull().default(0),
  },
  (table) => [
    // Of each kind by itself, so that a few channels are not looked for among all the people who are called so.
    primaryKey({ columns: [table.lead, table.kind, table.key, table.subjectId] }),
    // By whom a name is changed or taken away.
    index('name_keys_subject').on(table.subjectId),
  ],
)

/**
 * The best of what begins with a prefix, for each prefix with which so much begins that it is not read through. Written
 * by workers, a generation at a time, and never changed.
 */
export const suggestionNodes = pgTable(
  'suggestion_nodes',
  {
    /** The first character of the prefix; empty for the empty one. */
    lead: plainText().notNull(),
    prefix: plainText().notNull(),
    kind: text({ enum: ['USER', 'CHANNEL', 'TERM'] }).notNull(),
    generation: bigint({ mode: 'number' }).notNull(),
    /** Whether it is all that begins with the prefix, and not only the best: terms have no other place. */
    whole: boolean().notNull().default(false),
    /** JSON, the best first: see `server/domain/autocomplete-nodes.ts`. */
    entries: text().notNull(),
  },
  (table) => [primaryKey({ columns: [table.lead, table.prefix, table.kind, table.generation] })],
)

/** Which generation of nodes is read, and how far the work on names has come. */
export const suggestionTrees = pgTable('suggestion_trees', {
  name: text({ enum: ['NAMES', 'TERMS'] }).primaryKey(),
  /** 0 before there is one. Milliseconds since 1970 at which it was begun, by the store's clock. */
  generation: bigint({ mode: 'number' }).notNull().default(0),
  /** When it became the one that is read, and how long it took to build. */
  swappedAt: instant('swapped_at'),
  tookMs: integer('took_ms').notNull().default(0),
  /** Whether nodes of others may lie about. */
  untidy: boolean().notNull().default(false),
  /** Of NAMES: when scores were last counted through, and which spelling of keys everybody has. */
  scoredAt: instant('scored_at'),
  keysVersion: integer('keys_version').notNull().default(0),
})

/** What people have searched for, as far as it was sampled: counted once a day and person. Read by workers alone. */
export const searchSamples = pgTable(
  'search_samples',
  {
    userId: snowflake('user_id').notNull(),
    day: date({ mode: 'string' }).notNull(),
    term: text().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.userId, table.day, table.term] }),
    index('search_samples_day').on(table.day),
  ],
)
