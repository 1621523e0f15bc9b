import { fileTypeFromBuffer } from 'file-type'

/**
 * What can be made something of. Types that differ only in their name, or in which tracks they hold, are one format.
 */
export type Format =
  | 'jpeg'
  | 'png'
  | 'webp'
  | 'gif'
  | 'avif'
  | 'heic'
  | 'mp4'
  | 'matroska'
  | 'ogg'
  | 'mp3'
  | 'aac'
  | 'wav'
  | 'flac'

/** Every name of a format, as clients declare it and as file-type calls it. */
const formats: Record<string, Format> = {
  'image/jpeg': 'jpeg',
  'image/jpg': 'jpeg',
  'image/pjpeg': 'jpeg',
  'image/png': 'png',
  'image/apng': 'png',
  'image/webp': 'webp',
  'image/gif': 'gif',
  'image/avif': 'avif',
  'image/heic': 'heic',
  'image/heif': 'heic',
  'image/heic-sequence': 'heic',
  'image/heif-sequence': 'heic',
  'video/mp4': 'mp4',
  'video/quicktime': 'mp4',
  'video/x-m4v': 'mp4',
  'video/3gpp': 'mp4',
  'video/3gpp2': 'mp4',
  'audio/mp4': 'mp4',
  'audio/m4a': 'mp4',
  'audio/x-m4a': 'mp4',
  'video/webm': 'matroska',
  'video/matroska': 'matroska',
  'video/x-matroska': 'matroska',
  'audio/webm': 'matroska',
  'audio/ogg': 'ogg',
  'audio/opus': 'ogg',
  'video/ogg': 'ogg',
  'application/ogg': 'ogg',
  'audio/mpeg': 'mp3',
  'audio/mp3': 'mp3',
  'audio/aac': 'aac',
  'audio/wav': 'wav',
  'audio/wave': 'wav',
  'audio/x-wav': 'wav',
  'audio/vnd.wave': 'wav',
  'audio/flac': 'flac',
  'audio/x-flac': 'flac',
}

/** The format that goes by this content type, in any case and with or without parameters; null where there is none. */
export function formatOf(contentType: string): Format | null {
  const name = contentType.split(';')[0]!.trim().toLowerCase()
  return Object.hasOwn(formats, name) ? formats[name]! : null
}

/** How much of a file is looked at to tell what it is. Tags before the sound of an MP3 may take most of it. */
export const sniffedBytes = 1024 * 1024

/**
 * What a file is by its first bytes (up to `sniffedBytes`), whatever it is said to be: the format and its plainest
 * content type. Null where the bytes are nothing that is known, or known and none of the formats.
 */
export async function sniff(bytes: Uint8Array): Promise<{ format: Format; contentType: string } | null> {
  const type = (await fileTypeFromBuffer(bytes).catch(() => undefined))?.mime.split(';')[0]
  const format = type === undefined ? null : formatOf(type)
  return format === null ? null : { format, contentType: plainNames[type!] ?? type! }
}

/** What browsers know the type as. */
const plainNames: Record<string, string> = {
  'image/apng': 'image/png',
  'audio/x-m4a': 'audio/mp4',
  'video/matroska': 'video/x-matroska',
}
