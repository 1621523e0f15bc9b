import type { MailTexts } from './texts.ts'

const count = (number: number, one: string, many = `${one}s`) =>
  `${number.toLocaleString('en')} ${number === 1 ? one : many}`
const messages = (number: number) => count(number, 'unread message')

export const en: MailTexts = {
  language: 'en',
  greeting: (name) => `Hello ${name},`,
  verify: {
    subject: 'Is this your mailbox?',
    body:
      'this address was given as yours. Follow the link within a day, and you will be told here of what you have not ' +
      'read while you are away.',
    button: 'Confirm this address',
    ignore: 'If it was not you, do nothing: no other mail will come.',
  },
  digest: {
    subject: (unread, conversations) =>
      conversations === 1 ? messages(unread) : `${messages(unread)} in ${count(conversations, 'conversation')}`,
    intro: 'this came while you were away:',
    conversation: (name, unread) => `${name}: ${messages(unread)}`,
    mentions: (name, unread) => `${name}: ${count(unread, 'message that mentions you', 'messages that mention you')}`,
    more: (conversations) => `And ${count(conversations, 'more conversation')}.`,
    button: 'Open',
    reason: 'You get this mail because you have not been there for some time; at most one a day.',
    unsubscribe: 'No more of these mails',
  },
  unnamed: 'A group',
  attachment: '(attachment)',
}
