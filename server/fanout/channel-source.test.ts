import { expect, test } from 'vitest'
import type { Change } from '../message-store/changes.ts'
import type { MessageRow } from '../message-store/rows.ts'
import { decodeChanges, encodeChanges } from './channel-source.ts'

const message: MessageRow = {
  channelId: '1',
  id: '2',
  seq: 3,
  change: 4,
  version: 5,
  kind: 'USER',
  authorId: '6',
  content: 'hello',
  replyToId: null,
  replyCount: 0,
  mentionIds: [],
  attachmentIds: ['7'],
  editedAt: new Date(8),
  deletedAt: null,
  pinnedAt: null,
}
const change: Change = { channelId: '1', change: 5, seq: 3, type: 'message', kind: 'EDITED', message }

test('what is published is what is read, as far as it is new', () => {
  expect(decodeChanges(encodeChanges([change]), 4)).toEqual([change])
  expect(decodeChanges(encodeChanges([change]), 5)).toEqual([])
})

test('where a replica of another build says too little of a message, the store is asked', () => {
  // As it was before messages had attachments.
  const { attachmentIds: _, ...less } = message
  const published = encodeChanges([{ ...change, change: 6 }, { ...change, change: 7, message: less as MessageRow }])
  expect(decodeChanges(published, 4)).toBe(7)
  expect(decodeChanges(published, 7)).toEqual([])
})
