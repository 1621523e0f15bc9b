import { fileTypeFromBuffer, supportedMimeTypes } from 'file-type'

/** A content type without parameters, in lower case: RFC 6838, 4.2, and no longer than file systems and stores like. */
export function essenceOf(contentType: string): string | null {
  const essence = contentType.split(';', 1)[0]!.trim().toLowerCase()
  return essence.length <= 127 && /^[a-z\d][\w!#$&^.+-]*\/[a-z\d][\w!#$&^.+-]*$/.test(essence) ? essence : null
}

/** Whether a type is on a list, in which `*` stands for anything: `image/*`, or `*` alone. */
export const isOnList = (contentType: string, patterns: readonly string[]): boolean =>
  patterns.some((pattern) => {
    const [before, after] = pattern.split('*', 2) as [string, string?]
    return after === undefined ? contentType === pattern : contentType.startsWith(before) && contentType.endsWith(after)
  })

/**
 * What is shown in its place, once it has been processed. SVG is none of it: it is a document that may hold programs,
 * and is handed out like one.
 */
export const isMedia = (contentType: string): boolean =>
  /^(image|video|audio)\//.test(contentType) && contentType !== 'image/svg+xml'

/** How much of a file says what it is: archives name what they hold in their first entries. Bytes. */
export const sniffedBytes = 65_536

/** Names that go by one file format, or that only a look at all of it tells apart. */
const families: readonly (readonly string[])[] = [
  ['image/jpeg', 'image/jpg', 'image/pjpeg'],
  ['image/png', 'image/apng'],
  ['image/heic', 'image/heif', 'image/heic-sequence', 'image/heif-sequence'],
  ['image/bmp', 'image/x-ms-bmp'],
  ['image/x-icon', 'image/vnd.microsoft.icon'],
  ['video/mp4', 'video/quicktime', 'video/x-m4v', 'video/3gpp', 'video/3gpp2', 'audio/mp4', 'audio/m4a', 'audio/x-m4a'],
  ['video/webm', 'video/matroska', 'video/x-matroska', 'audio/webm'],
  ['audio/ogg', 'audio/opus', 'video/ogg', 'application/ogg', 'audio/vorbis'],
  ['audio/mpeg', 'audio/mp3'],
  ['audio/aac', 'audio/x-aac', 'audio/aacp'],
  ['audio/wav', 'audio/wave', 'audio/x-wav', 'audio/vnd.wave'],
  ['audio/flac', 'audio/x-flac'],
  ['video/vnd.avi', 'video/x-msvideo', 'video/avi'],
  ['application/gzip', 'application/x-gzip'],
  ['application/zip', 'application/x-zip-compressed', 'application/x-zip'],
  ['application/x-rar-compressed', 'application/vnd.rar'],
]
const familyOf = new Map(families.flatMap((names) => names.map((name) => [name, names[0]!])))
const canonical = (type: string) => familyOf.get(type) ?? type

/** Types that are archives, or files of Microsoft's compound format, inside; a part of one may not say which. */
const inZip = /^application\/(vnd\.(openxmlformats-officedocument|oasis\.opendocument)\.|vnd\.hancom\.|hwp\+zip$|epub\+zip$)/
const inCompound = new Set(['application/msword', 'application/vnd.ms-excel', 'application/vnd.ms-powerpoint', 'application/x-hwp', 'application/vnd.hancom.hwp'])

/** What has no mark at its beginning and can only be read as text, or not. */
const isText = (type: string) => /^text\/|^application\/(json|xml|javascript|.+\+(json|xml))$|^image\/svg\+xml$/.test(type)

/**
 * Whether a file is something else than it was declared to be, by its first bytes (up to `sniffedBytes`). Of types that
 * nothing is known of it cannot be said, as long as it is not something that is known.
 */
export async function isDisguised(start: Buffer, declared: string): Promise<boolean> {
  if (isText(declared)) return !readsAsText(start)
  if (declared === 'application/octet-stream') return false
  const found = (await fileTypeFromBuffer(start).catch(() => undefined))?.mime.split(';')[0]
  if (found !== undefined && canonical(found) === canonical(declared)) return false
  if (inZip.test(declared) && found === 'application/zip') return false
  if (inCompound.has(declared) && found === 'application/x-cfb') return false
  // An office file is an archive, and may be called one.
  if (canonical(declared) === 'application/zip' && found !== undefined && inZip.test(found)) return false
  const isKnown = isMedia(declared) || inZip.test(declared) || inCompound.has(declared) || known.has(declared) || familyOf.has(declared)
  return isKnown || found !== undefined
}

const known: ReadonlySet<string> = new Set(supportedMimeTypes)

/**
 * Whether bytes, which may be cut off in the midst of a character, are text: without control characters, in any encoding
 * that begins with ASCII, such as UTF-8, EUC-KR, Shift_JIS and Windows' own, or in UTF-16 that says so. More is not asked
 * of what is only ever saved.
 */
export function readsAsText(bytes: Buffer): boolean {
  const mark = bytes.toString('hex', 0, 2)
  const encoding = mark === 'fffe' ? 'utf-16le' : mark === 'feff' ? 'utf-16be' : null
  try {
    const text =
      encoding === null
        ? bytes.toString('latin1')
        : new TextDecoder(encoding, { fatal: true }).decode(bytes, { stream: true })
    // oxlint-disable-next-line no-control-regex -- control characters are what it is about
    return !/[\u0000-\u0006\u000e-\u001a\u001c-\u001f]/.test(text)
  } catch {
    return false
  }
}
