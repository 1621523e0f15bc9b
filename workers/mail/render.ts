import type { Mail } from '../../server/lib/mail.ts'
import type { MailTexts } from './texts/texts.ts'

/** A part of a mail. `heading` and its `lines` belong together; lines are what people wrote. */
export type Section = { text: string } | { heading: string; lines: readonly string[] }

export type Letter = {
  name: string
  sections: readonly Section[]
  button: { label: string; url: string }
  /** What stands small below; with an address it is a link. */
  footer: readonly { text: string; url?: string }[]
}

/** Writes a letter as plain text and as simple HTML that says the same. Every text is taken for text. */
export function render({ name, sections, button, footer }: Letter, texts: MailTexts): Pick<Mail, 'text' | 'html'> {
  const greeting = texts.greeting(name)
  const text = [
    greeting,
    ...sections.map((section) =>
      'text' in section ? section.text : [section.heading, ...section.lines.map((line) => `  ${line}`)].join('\n'),
    ),
    `${button.label}: ${button.url}`,
    // RFC 3676, 4.3: what follows is no part of the letter.
    ['-- ', ...footer.map((line) => (line.url === undefined ? line.text : `${line.text}: ${line.url}`))].join('\n'),
  ].join('\n\n')
  const html = `<!doctype html>
<html lang="${texts.language}">
<head><meta charset="utf-8"></head>
<body style="font: 16px/1.5 system-ui, sans-serif; max-width: 36em; margin: 1.5em auto; padding: 0 1em">
<p>${escape(greeting)}</p>
${sections.map(renderSection).join('\n')}
<p><a href="${escape(button.url)}" style="${buttonStyle}">${escape(button.label)}</a></p>
<hr style="border: 0; border-top: 1px solid #ccc">
${footer.map(renderFooter).join('\n')}
</body>
</html>
`
  return { text: `${text}\n`, html }
}

/** Mail programs know no style sheets. */
const buttonStyle =
  'display: inline-block; padding: .6em 1.4em; border-radius: .4em; background: #1a5fb4; color: #fff; text-decoration: none'

function renderFooter({ text, url }: Letter['footer'][number]): string {
  const content = url === undefined ? escape(text) : `<a href="${escape(url)}" style="color: #666">${escape(text)}</a>`
  return `<p style="font-size: 13px; color: #666">${content}</p>`
}

function renderSection(section: Section): string {
  if ('text' in section) return `<p>${escape(section.text)}</p>`
  const lines = section.lines.map((line) => `<br>${escape(line)}`).join('')
  // Names in another script must not turn the rest of the line round.
  return `<p dir="auto"><strong>${escape(section.heading)}</strong>${lines}</p>`
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => entities[character]!)
