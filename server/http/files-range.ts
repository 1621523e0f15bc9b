/** A part of a file, both ends included. */
export type ByteRange = { start: number; end: number }

/**
 * Reads a Range header (RFC 9110, 14.2) about a file of so many bytes. Null where all of it is to be sent: there is no
 * such header, it cannot be read, or it asks for several parts, which a server need not send. 'unsatisfiable' where the
 * part lies behind the end.
 */
export function readRange(header: string | undefined, byteSize: number): ByteRange | 'unsatisfiable' | null {
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '') ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return null
  if (first === '') {
    const length = Math.min(Number(last), byteSize)
    return length === 0 ? 'unsatisfiable' : { start: byteSize - length, end: byteSize - 1 }
  }
  const start = Number(first)
  if (last !== '' && Number(last) < start) return null
  if (start >= byteSize) return 'unsatisfiable'
  return { start, end: last === '' ? byteSize - 1 : Math.min(Number(last), byteSize - 1) }
}
