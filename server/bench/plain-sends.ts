import type { Database } from '../../drizzle/connection.ts'
import { messageTerms } from '../lib/search-terms.ts'
import { hashOf, type Send } from '../message-store/send.ts'

/*
 * What sends are measured against: the same rows, written without asking anybody. Numbers are the writer's own, nothing
 * is locked, no key is looked at twice.
 */

/** A send whose place in its channel is given out by the writer. */
export type PlainSend = Send & { channelId: number; id: string; seq: number }

/** Gives sends their places: one row of numbers, whatever the channel. */
export function createPlaces() {
  let seq = 0
  return (send: Send, channelId: number, id: string): PlainSend => ({ ...send, channelId, id, seq: ++seq })
}

/** A table like `messages`, in one piece: the same columns, key and indexes, but that of the terms. */
export const bareTable = (name: string) => [
  `create table ${name} (like messages, primary key (channel_id, id))`,
  `create index on ${name} (channel_id, seq)`,
]

/** One row of one table. */
export const sendBare = (table: string) => (database: Database, send: PlainSend) =>
  database.run(
    `insert into ${table} (channel_id, id, author_id, seq, change, kind, content, mention_ids)
     values ($1, $2, $3, $4, $4, $5, $6, $7)`,
    placedOf(send),
  )

/** The same, with what it can be found by. */
export const sendBareWithTerms = (table: string) => (database: Database, send: PlainSend) =>
  database.run(
    `insert into ${table} (channel_id, id, author_id, seq, change, kind, content, mention_ids, terms)
     values ($1, $2, $3, $4, $4, $5, $6, $7, $8)`,
    [...placedOf(send), termsOf(send)],
  )

const placedOf = (send: PlainSend) => [
  send.channelId,
  send.id,
  send.authorId,
  send.seq,
  send.kind,
  send.content,
  literal(send.mentionIds),
]

const termsOf = (send: PlainSend) => literal(messageTerms(String(send.channelId), send.content))

const parametersOf = (send: PlainSend) => [
  ...placedOf(send),
  termsOf(send),
  hashOf(`${send.authorId} ${send.key}`),
  send.bodyHash,
]

/** All the rows of a send in one statement. */
export const sendByStatement = (database: Database, send: PlainSend) =>
  database.run(
    `with key as (
       insert into send_keys (channel_id, key_hash, message_id, body_hash)
       values ($1, $9::text::uuid, $2, $10::text::uuid)
     ), message as (
       insert into messages (channel_id, id, author_id, seq, change, kind, content, mention_ids, terms)
       values ($1, $2, $3, $4, $4, $5, $6, $7, $8)
     ), mentioned as (
       insert into mentions (channel_id, user_id, seq, message_id)
       select $1, user_id, $4, $2 from unnest($7::bigint[]) user_id
     )
     insert into outbox (channel_id, first_seq, last_seq) values ($1, $4, $4)`,
    parametersOf(send),
  )

/** The same as a function, which plans each statement once. */
export const plainSendFunction = `
  create function plain_send(
    channel_id bigint, id bigint, author_id bigint, seq integer, kind text, content text, mention_ids bigint[],
    terms integer[], key_hash uuid, body_hash uuid
  ) returns void language plpgsql as $$
  #variable_conflict use_variable
  declare
    one bigint;
  begin
    insert into send_keys values (channel_id, key_hash, id, body_hash);
    insert into messages (channel_id, id, author_id, seq, change, kind, content, mention_ids, terms)
      values (channel_id, id, author_id, seq, seq, kind, content, mention_ids, terms);
    if mention_ids is not null then
      foreach one in array mention_ids loop
        insert into mentions values (channel_id, one, seq, id);
      end loop;
    end if;
    insert into outbox values (channel_id, seq, seq);
  end $$`

export const sendByFunction = (database: Database, send: PlainSend) =>
  database.run('select plain_send($1, $2, $3, $4, $5, $6, $7, $8, $9::text::uuid, $10::text::uuid)', parametersOf(send))

const literal = (numbers: readonly (string | number)[]) => (numbers.length === 0 ? null : `{${numbers.join(',')}}`)
