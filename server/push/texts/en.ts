import type { PushContent, PushTexts } from '../push-texts.ts'

const count = (number: number, one: string, many = `${one}s`) =>
  number === 1 ? `1 ${one}` : `${number.toLocaleString('en')} ${many}`

/** What was written, else what came with it. */
function words({ text, pictures, videos, sounds, files }: PushContent): string {
  if (text !== '') return text
  const all = pictures + videos + sounds + files
  const one = (word: string, number: number) => (number === 1 ? `Sent ${word}` : null)
  if (all === pictures && all > 0) return one('a picture', all) ?? `Sent ${count(all, 'picture')}`
  if (all === videos && all > 0) return one('a video', all) ?? `Sent ${count(all, 'video')}`
  if (all === sounds && all > 0) return one('a recording', all) ?? `Sent ${count(all, 'recording')}`
  return all > 0 ? (one('a file', all) ?? `Sent ${count(all, 'file')}`) : 'New message'
}

export const english: PushTexts = {
  message: ({ sender, channel, content }) =>
    channel === null
      ? { title: sender, body: words(content) }
      : { title: channel, body: `${sender}: ${words(content)}` },
  mention: ({ sender, channel, content }) => ({
    title: channel === null ? `${sender} mentioned you` : `${sender} mentioned you in ${channel}`,
    body: words(content),
  }),
  reply: ({ sender, channel, content }) => ({
    title: channel === null ? `${sender} replied to you` : `${sender} replied to you in ${channel}`,
    body: words(content),
  }),
  action: ({ sender, channel, text }) => ({ title: channel ?? sender, body: `${sender} ${text}` }),
  summary: ({ sender, channel, count: messages }) => ({
    title: channel ?? sender,
    body: count(messages, 'new message'),
  }),
  summaryOfChannels: ({ count: messages, channels }) => ({
    title: count(messages, 'new message'),
    body: `In ${count(channels, 'conversation')}`,
  }),
  deleted: ({ sender, channel }) =>
    channel === null
      ? { title: sender, body: 'This message was deleted' }
      : { title: channel, body: `${sender} deleted this message` },
  reminder: ({ text, channel }) => ({
    title: channel === null ? 'Reminder' : `Reminder from ${channel}`,
    body: text === '' ? 'You asked to be reminded of a message' : text,
  }),
  hidden: ({ count: messages }) => ({
    title: messages === 1 ? 'New message' : count(messages, 'new message'),
    body: 'Open the app to read',
  }),
  hiddenReminder: () => ({ title: 'Reminder', body: 'Open the app to read' }),
}
