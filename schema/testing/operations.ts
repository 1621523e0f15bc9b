import type { TypedDocument } from '../../client-sdk/document.ts'
import {
  type CreateChannelInput,
  CreateChannelDocument,
  HistoryDocument,
  MaruClientError,
  type SendMessageInput,
  SendMessageDocument,
} from '../../client-sdk/index.ts'
import type { Person } from '../../server/testing/test-app.ts'

/** An operation that the client has no document for. It must have a name. */
export function operation<Result = any, Variables = any>(text: string): TypedDocument<Result, Variables> {
  const name = /^\s*(?:query|mutation|subscription)\s+(\w+)/.exec(text)?.[1]
  if (name === undefined) throw new Error('An operation in a test has a name')
  return { name, text }
}

/** What an operation is refused with; a failed test where it is not. */
export async function refusal(answer: Promise<unknown>): Promise<{ code: string; field: string | undefined }> {
  const { code, field } = await failure(answer)
  return { code, field }
}

/** What `refusal` gives where the input at `field` is at fault: it cannot be taken, is of nothing, or contradicts. */
export const bad = (field: string) => ({ code: 'BAD_USER_INPUT', field })
export const missing = (field: string) => ({ code: 'NOT_FOUND', field })
export const conflicting = (field: string) => ({ code: 'CONFLICT', field })

/** The error that an operation ends in; a failed test where it does not. */
export async function failure(answer: Promise<unknown>): Promise<MaruClientError> {
  const outcome = await answer.then(
    (data) => ({ data }),
    (error: unknown) => ({ error }),
  )
  if ('data' in outcome) throw new Error(`Not refused: ${JSON.stringify(outcome.data)}`)
  if (outcome.error instanceof MaruClientError) return outcome.error
  throw outcome.error
}

/** A new channel that `owner` has made; its id. */
export async function newChannel(owner: Person, input: Partial<CreateChannelInput> = {}, members: Person[] = []) {
  const { createChannel } = await owner.client.request(CreateChannelDocument, {
    input: { kind: 'GROUP', name: 'tea', memberIds: members.map((member) => member.id), ...input },
  })
  return createChannel.channel.id
}

/** Sends a message and gives it back. */
export async function say(person: Person, channelId: string, content: string, more: Partial<SendMessageInput> = {}) {
  const { sendMessage } = await person.client.request(SendMessageDocument, { input: { channelId, content, ...more } })
  return sendMessage.message
}

/** The newest messages of a channel, oldest first. */
export async function history(person: Person, channelId: string, last = 50) {
  const { channel } = await person.client.request(HistoryDocument, { channelId, last })
  return channel!.messages.edges.map((edge) => edge.node)
}

/** Sends many messages, one after the other in the order of their numbers: `1`, `2`, … */
export async function sayMany(person: Person, channelId: string, count: number) {
  for (let number = 1; number <= count; number++) await say(person, channelId, String(number))
}

/** Does something over and over until a promise settles: for streams, which do not say when they begin to listen. */
export async function repeatUntil(settled: Promise<unknown>, act: () => Promise<unknown>): Promise<void> {
  const state = { over: false }
  const end = () => {
    state.over = true
  }
  settled.then(end, end)
  while (!state.over) await act()
}
