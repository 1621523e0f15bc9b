/** How far into a page its encoding is looked for. HTML says 1,024; pages begin with more than that at times. */
const prescanBytes = 4_096

/** Names that servers use and the Encoding Standard does not know. */
const otherNames: Record<string, string> = {
  cp949: 'euc-kr',
  ms949: 'euc-kr',
  uhc: 'euc-kr',
  'x-windows-949': 'euc-kr',
  cp932: 'shift_jis',
  ms932: 'shift_jis',
  cp936: 'gbk',
  cp1252: 'windows-1252',
  utf: 'utf-8',
}

/** What pages are written in that do not say so, by where they are: as browsers guess, for want of better. */
const byCountry: Record<string, string> = { kr: 'euc-kr', jp: 'shift_jis', cn: 'gb18030', tw: 'big5', hk: 'big5', ru: 'windows-1251' }

/**
 * The encoding of a page, of which the first bytes are given: by its byte order mark, what the server says, what it says
 * itself; else UTF-8 where it is that, and the old encoding of its country where it is not. Never throws.
 */
export function charsetOf(start: Buffer, contentType: string | null, url: string): string {
  if (start[0] === 0xef && start[1] === 0xbb && start[2] === 0xbf) return 'utf-8'
  if (start[0] === 0xfe && start[1] === 0xff) return 'utf-16be'
  if (start[0] === 0xff && start[1] === 0xfe) return 'utf-16le'
  const said = known(/charset\s*=\s*["']?([^\s"';,]+)/i.exec(contentType ?? '')?.[1])
  return said ?? saidWithin(start) ?? (isUtf8(start) ? 'utf-8' : (byCountry[countryOf(url)] ?? 'windows-1252'))
}

/** `<meta charset="euc-kr">`, or `<meta http-equiv="Content-Type" content="text/html; charset=euc-kr">`. */
function saidWithin(start: Buffer): string | null {
  const text = start.subarray(0, prescanBytes).toString('latin1').replace(/<!--.*?-->/gs, '')
  for (const [meta] of text.matchAll(/<meta\s[^>]*>/gi)) {
    const charset = known(/charset\s*=\s*["']?([^\s"'>;/]+)/i.exec(meta)?.[1])
    // A page that can be read as far as here is not in UTF-16, whatever it says: HTML, section 13.2.3.2.
    if (charset !== null) return charset.startsWith('utf-16') ? 'utf-8' : charset
  }
  return null
}

/** The name as TextDecoder knows it; null where it does not. */
function known(name: string | undefined): string | null {
  if (name === undefined) return null
  try {
    return new TextDecoder(otherNames[name.toLowerCase()] ?? name).encoding
  } catch {
    return null
  }
}

function isUtf8(start: Buffer): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(start, { stream: true })
    return true
  } catch {
    return false
  }
}

const countryOf = (url: string) => URL.parse(url)?.hostname.split('.').at(-1) ?? ''
