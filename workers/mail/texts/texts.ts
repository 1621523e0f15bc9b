import { en } from './en.ts'
import { ko } from './ko.ts'

/** What mails say, in one language. Nothing is escaped: that is for whoever makes HTML of it. */
export type MailTexts = {
  /** What the language is called, for `lang`. */
  language: string
  greeting(name: string): string
  verify: { subject: string; body: string; button: string; ignore: string }
  digest: {
    subject(unread: number, conversations: number): string
    intro: string
    /** A conversation, and how many messages of it are unread; of which only those that mention are counted. */
    conversation(name: string, unread: number): string
    mentions(name: string, unread: number): string
    more(conversations: number): string
    button: string
    /** Why this came. */
    reason: string
    unsubscribe: string
  }
  /** A group that nobody has named. */
  unnamed: string
  /** A message that says nothing in words. */
  attachment: string
}

const languages = { en, ko }

/** The texts for a BCP 47 tag: of its language where there are any, else in English. */
export function textsFor(locale: string): MailTexts {
  const language = locale.split('-')[0]!.toLowerCase()
  return languages[language as keyof typeof languages] ?? en
}
