/** What is looked at: what people say, and what else they write for others to see. */
export type ContentKind = 'MESSAGE' | 'USERNAME' | 'DISPLAY_NAME' | 'STATUS_TEXT' | 'CHANNEL_NAME' | 'CHANNEL_TOPIC'

export type Checked = {
  kind: ContentKind
  /** Null for somebody who is just signing up. */
  authorId: string | null
  /** Null where it is of no channel, or of one that is just being made. */
  channelId: string | null
  content: string
}

export type Verdict =
  | { verdict: 'allow' }
  /** The reason is shown to the author. */
  | { verdict: 'refuse'; reason: string }
  /** Something else is stored in its place. */
  | { verdict: 'replace'; content: string }

/**
 * Decides what may be said, before it is stored: the door for a deployment's own rules.
 *
 * **Guaranteed.** Every message that is sent, edited or scheduled passes it, whoever writes and wherever; so do the
 * names that people give to themselves and to channels, topics, and the texts of statuses. A scheduled message passes
 * twice: as it is scheduled and as it is sent. What is refused is never stored and never seen. What was stored stays: a
 * retry of what is there already gives back what is there, whatever the filter says by now.
 *
 * **Not guaranteed.** That each text is asked about once. That everything is asked about: the names of files are not, nor
 * what nobody else sees, nor imported history and the names that an identity provider or an import brings along.
 *
 * **For engines.** `check` answers within about two seconds and throws only UNAVAILABLE, where it cannot tell and nothing
 * is to be stored then. It may answer at once, without a promise. A replacement that could not be stored by itself is
 * refused as if its author had written it.
 */
export type ContentFilter = {
  check(checked: Checked): Verdict | Promise<Verdict>
  close(): Promise<void>
}

export const allowed: Verdict = { verdict: 'allow' }

/** Asks one filter after the other: the first that refuses decides, and what one replaces the next is asked about. */
export function inTurn(filters: readonly ContentFilter[]): ContentFilter {
  return {
    async check(checked) {
      let { content } = checked
      for (const filter of filters) {
        const verdict = await filter.check({ ...checked, content })
        if (verdict.verdict === 'refuse') return verdict
        if (verdict.verdict === 'replace') content = verdict.content
      }
      return content === checked.content ? allowed : { verdict: 'replace', content }
    },
    async close() {
      await Promise.all(filters.map((filter) => filter.close()))
    },
  }
}
