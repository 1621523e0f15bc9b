import { describe, expect, test } from 'vitest'
import { charsetOf } from './charset.ts'
import { createPageReader, type Page } from './read-page.ts'

const address = 'https://example.com/news/today.html'

function read(page: string | Buffer, contentType: string | null = 'text/html', url = address): Page {
  const reader = createPageReader(url, contentType)
  const bytes = Buffer.from(page)
  // In pieces that cut characters, tags and entities in two.
  for (let from = 0; from < bytes.length; from += 7) if (reader.write(bytes.subarray(from, from + 7))) break
  return reader.end()
}

const head = (inside: string) => `<!doctype html><html><head>${inside}</head><body><p>text</p></body></html>`

/** “마루: 여는 채팅” in EUC-KR. */
const korean = Buffer.from('b8b6b7e73a20bfa9b4c220c3a4c6c3', 'hex')

describe('what a page says', () => {
  test('Open Graph comes before Twitter’s cards, and those before HTML', () => {
    const plain = '<title> Plain\n title </title><meta name="description" content="Plain words">'
    expect(read(head(plain))).toEqual({ title: 'Plain title', description: 'Plain words', siteName: null, imageUrl: null })
    const cards = `<meta name="twitter:title" content="Card"><meta name="twitter:image" content="/card.png">`
    expect(read(head(plain + cards))).toMatchObject({ title: 'Card', imageUrl: 'https://example.com/card.png' })
    const graph = `<meta property="og:title" content="Graph"><meta property="og:image" content="graph.png">
      <meta property="og:description" content="Graph words"><meta property="og:site_name" content="The Site">`
    expect(read(head(plain + cards + graph))).toEqual({
      title: 'Graph',
      description: 'Graph words',
      siteName: 'The Site',
      imageUrl: 'https://example.com/news/graph.png',
    })
  })

  test('the first that is not empty counts, however it is spelt', () => {
    const page = `<META NAME="OG:Title" CONTENT=""><meta content='One' property='og:title'><meta property=og:title content=Two>`
    expect(read(head(page)).title).toBe('One')
    expect(read(head('<title>\u200b \ufeff</title><meta name="description" content="&nbsp;">'))).toMatchObject({
      title: null,
      description: null,
    })
  })

  test('entities are characters', () => {
    const page = '<title>Q&amp;A &lt;b&gt; &#54620;&#xAE00; &hearts; &#0;&#x202e;evil &amp;lt;</title>'
    expect(read(head(page)).title).toBe('Q&A <b> 한글 ♥ evil &lt;')
  })

  test('what would reorder or hide the text around it is taken out; what emoji are made of is not', () => {
    const page = '<title>a\u202eb\u0007c\u2066d\u200be\u0000 \u{e000}f 👨‍👩‍👧</title>'
    expect(read(head(page)).title).toBe('a b c d e f 👨‍👩‍👧')
  })

  test('long texts are cut between characters', () => {
    const { title, description } = read(
      head(`<title>${'👍'.repeat(500)}</title><meta name="description" content="${'말 '.repeat(5_000)}">`),
    )
    expect(title).toBe(`${'👍'.repeat(299)}…`)
    expect(Array.from(description!)).toHaveLength(1_000)
    expect(read(head(`<title>${'x'.repeat(300)}</title>`)).title).toBe('x'.repeat(300))
  })

  test('the body does not count, nor what scripts and comments hold', () => {
    const body = '<title>Body</title><meta property="og:title" content="Body">'
    expect(read(`<html><head></head><body>${body}</body>`).title).toBe(null)
    expect(read(`<html><body>${body}`).title).toBe(null)
    const script = `<script>"</head><title>Script</title>"</script><!-- </head><title>Comment</title> --><title>Real</title>`
    expect(read(head(script)).title).toBe('Real')
  })

  test('the head is over where something else begins, whether or not the page says so', () => {
    const more = '<meta property="og:title" content="Body">'
    for (const start of ['<div>', '<p>', '<svg>', '</body>', 'text', '&middot;', '<h1/>', '<plaintext>', '<custom-element-of-theirs>']) {
      expect(read(`<head><title>Head</title>${start}${more}`).title, start).toBe('Head')
    }
    const holders = [
      '<noscript><img src="x"> text </noscript>',
      '<noscript><style></noscript></style><title>No</title></noscript>',
      '<template><template><title>No</title></template><meta property="og:title" content="No"> text</template>',
      '<style>text <div></style><script>"<div>" text &amp; </scrip </script >',
      '<noframes><div></noframes><!-- text <div> --><!x><?php text ?></p></script>\ufeff\n&#32;',
      '<title></title><link rel=a href=b><base><basefont><bgsound><html><head>',
    ]
    for (const held of holders) expect(read(`<title>Head</title>${held}${more}`).title, held).toBe('Body')
    expect(read('<title></title><title>Second</title><title>Third</title>').title).toBe('Second')
  })

  test('the first of two attributes counts, however they are written', () => {
    expect(read('<meta property="og:title" content="One" content="Two" property="x">').title).toBe('One')
    expect(read('<meta content=Title&amp;more property=og:title/ data-x>').title).toBe(null)
    expect(read('<meta content=Title&amp;more property=og:title />').title).toBe('Title&more')
  })

  test('a page that is cut off, or has no head, says what it says', () => {
    expect(read('<title>No head').title).toBe('No head')
    expect(read('<html><head><meta property="og:title" content="Cut"><meta proper').title).toBe('Cut')
    expect(read('')).toEqual({ title: null, description: null, siteName: null, imageUrl: null })
    expect(read(Buffer.from([0xff, 0xfe, 0x00, 0xd8]))).toMatchObject({ title: null })
  })

  test('pictures stand on the base of the page, and are reached by http', () => {
    const image = (path: string, before = '') => read(head(`${before}<meta property="og:image" content="${path}">`)).imageUrl
    expect(image('//cdn.example/a.png#x')).toBe('https://cdn.example/a.png')
    expect(image('../a b.png')).toBe('https://example.com/a%20b.png')
    expect(image('a.png', '<base href="/base/">')).toBe('https://example.com/base/a.png')
    expect(image('http://example.com/?a=1&amp;b=2')).toBe('http://example.com/?a=1&b=2')
    for (const no of ['data:image/png;base64,AAAA', 'javascript:alert(1)', 'file:///etc/passwd', 'http://', 'x'.repeat(3_000)]) {
      expect(image(no), no).toBe(null)
    }
    expect(read(head('<meta property="og:image" content="data:,"><meta name="twitter:image" content="/b.png">')).imageUrl).toBe(
      'https://example.com/b.png',
    )
  })

  test('reading stops where the head does', () => {
    const reader = createPageReader(address, 'text/html')
    expect(reader.write(Buffer.from(`<head><title>One</title>${' '.repeat(5_000)}`))).toBe(false)
    expect(reader.write(Buffer.from('</head>'))).toBe(true)
    expect(reader.write(Buffer.from('<head><title>Two</title>'))).toBe(true)
    expect(reader.end().title).toBe('One')
  })
})

describe('pages that are written to keep a reader busy', () => {
  const half = (piece: string) => piece.repeat(Math.floor(500_000 / piece.length))
  // The first five kept a parser with a stack busy for up to a minute.
  test.each([
    ['<div>', '</p>'],
    ['<svg>', '<p>'],
    ['<b>', '</br>'],
    ['<i>', '<form>'],
    ['<p><b>', '<p>'],
    ['<template>', '</p>'],
    ['<noscript>', '<template>'],
    ['</p>', '</title>'],
    ['<meta name=a content=b>', '<meta name=og:title property=og:title content=&amp;>'],
    ['<title>', '</titl&#0'],
    ['<meta content="', '&#x1F600;'],
    ['<meta ', 'a a=b '],
    ['<!--', '<!-->'],
    ['<script>', '</scrip<'],
    ['&#00', '00000'],
  ])('%s %s', (one, other) => {
    const page = Buffer.from(half(one) + half(other))
    const began = process.cpuUsage()
    const reader = createPageReader(address, 'text/html; charset=utf-8')
    reader.write(page)
    reader.end()
    const { user, system } = process.cpuUsage(began)
    expect((user + system) / 1_000).toBeLessThan(1_000)
  })

  test('come in piece by piece', () => {
    const reader = createPageReader(address, 'text/html; charset=utf-8')
    const began = process.cpuUsage()
    for (const byte of Buffer.from(`<title>Dripped</title>${half('<meta a=b>')}`)) reader.write(Buffer.of(byte))
    expect(reader.end().title).toBe('Dripped')
    expect(process.cpuUsage(began).user / 1_000).toBeLessThan(5_000)
  })
})

describe('encodings', () => {
  const titled = (title: Buffer, before = '') => Buffer.concat([Buffer.from(`<head>${before}<title>`), title, Buffer.from('</title>')])
  const said = '마루: 여는 채팅'

  test.each([
    ['the server', titled(korean), 'text/html; charset=EUC-KR', address],
    ['the server, by a name of its own', titled(korean), 'text/html;charset="cp949"', address],
    ['the page', titled(korean, '<meta charset="euc-kr">'), 'text/html', address],
    ['an old page', titled(korean, `<meta http-equiv=Content-Type content='text/html; charset=ks_c_5601-1987'>`), null, address],
    ['its country, where nobody says', titled(korean), 'text/html', 'http://old.co.kr/'],
    ['its country, where they talk nonsense', titled(korean), 'text/html; charset=none', 'http://old.co.kr/'],
    ['itself, being UTF-8', titled(Buffer.from(said)), null, 'http://new.co.kr/'],
    ['a byte order mark, whatever is said', Buffer.from(`\ufeff<title>${said}`), 'text/html; charset=euc-kr', address],
    ['UTF-16', Buffer.from(`\ufeff<title>${said}</title>`, 'utf16le'), 'text/html', address],
    ['a page that cannot be in UTF-16', titled(Buffer.from(said), '<meta charset=utf-16>'), null, address],
  ])('are known from %s', (_, page, contentType, url) => {
    expect(read(page, contentType, url).title).toBe(said)
  })

  test('Shift_JIS too', () => {
    const title = Buffer.from('93fa967b8cea', 'hex')
    expect(read(titled(title), 'text/html; charset=Shift_JIS').title).toBe('日本語')
  })

  test('a name of nothing is no charset', () => {
    expect(charsetOf(Buffer.from('plain'), 'text/html; charset=constructor', address)).toBe('utf-8')
    expect(charsetOf(Buffer.from([0xe9, 0x20]), null, address)).toBe('windows-1252')
    expect(charsetOf(Buffer.alloc(0), null, 'nonsense')).toBe('utf-8')
  })
})
