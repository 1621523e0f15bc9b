import { and, eq } from 'drizzle-orm'
import { sendKeys } from '../../drizzle/tables/index.ts'
import type { Checked, ContentFilter } from '../content-filter/content-filter.ts'
import { badInput, notFound } from '../errors.ts'
import { checkText, maxContentLength } from '../lib/text.ts'
import type { MessageKey } from '../message-store/pages.ts'
import { keyHash } from '../message-store/send.ts'
import type { Deps } from './deps.ts'

/**
 * What is to be stored of what somebody has written, as the deployment's filter has it: the content itself, or what
 * takes its place. Throws BAD_USER_INPUT, about the input at `field`, where it is refused, and UNAVAILABLE where the
 * filter cannot tell and lets nothing through.
 */
export async function filterContent(filter: ContentFilter | null, checked: Checked, field: string): Promise<string> {
  if (filter === null) return checked.content
  const verdict = await filter.check(checked)
  if (verdict.verdict === 'refuse') throw badInput(verdict.reason, field)
  return verdict.verdict === 'replace' ? verdict.content : checked.content
}

/** The same for messages: what was stored already passes whatever the filter says by now, as nothing is stored of it. */
export function createMessageFilter({ database, store, filter }: Pick<Deps, 'database' | 'store' | 'filter'>) {
  async function filtered(authorId: string, channelId: string, content: string): Promise<string> {
    // A picture may come without a word.
    if (content === '') return content
    const stored = await filterContent(filter, { kind: 'MESSAGE', authorId, channelId, content }, 'input.content')
    return stored === content ? content : checkText(stored, 'A message', 'input.content', maxContentLength)
  }

  return {
    /** What is stored of what somebody sends; for a retry, what was sent. */
    async sent(
      authorId: string,
      { channelId, idempotencyKey: key }: { channelId: string; idempotencyKey?: string | null },
      content: string,
    ): Promise<string> {
      try {
        return await filtered(authorId, channelId, content)
      } catch (error) {
        if (key == null) throw error
        const [known] = await database.orm
          .select({ messageId: sendKeys.messageId })
          .from(sendKeys)
          .where(and(eq(sendKeys.channelId, channelId), eq(sendKeys.keyHash, keyHash({ authorId, key }))))
        if (known === undefined) throw error
        return content
      }
    },

    /**
     * What is stored of an edit; what the message says already may stay. Nobody is asked about what will be refused
     * where it is written, as what others have said or what is deleted.
     */
    async edited(authorId: string, key: MessageKey, content: string): Promise<string> {
      const message = await store.message(key)
      if (message === null) throw notFound('message', 'input.messageId')
      if (message.authorId !== authorId || message.deletedAt !== null) return content
      try {
        return await filtered(authorId, key.channelId, content)
      } catch (error) {
        if ((await store.message(key))?.content === content) return content
        throw error
      }
    },
  }
}
