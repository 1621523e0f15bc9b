/** Graphemes, what people take for characters, are the same in all languages as far as Node's data goes. */
const graphemes = new Intl.Segmenter('und', { granularity: 'grapheme' })

const ellipsis = '…'

/** Bytes that a text takes within a string of JSON. Those of its parts add up, as long as no pair is cut in two. */
const bytesInJson = (text: string): number => Buffer.byteLength(JSON.stringify(text)) - 2

/**
 * Returns the beginning of `text` with an ellipsis, cut between graphemes, such that `sizeOf` of all of it is at most
 * `max`; the text itself where it fits, and nothing where not even the ellipsis does.
 *
 * `sizeOf` is at least 1 for each UTF-16 unit of a well-formed text, and adds up.
 */
function cutBySize(text: string, max: number, sizeOf: (part: string) => number): string {
  const whole = text.toWellFormed()
  if (whole.length <= max && sizeOf(whole) <= max) return whole
  const room = max - sizeOf(ellipsis)
  if (room < 0) return ''
  let end = 0
  let size = 0
  // What is beyond `max` units cannot fit. A grapheme that this cuts in two ends beyond `room`, and so is left out.
  for (const { segment, index } of graphemes.segment(whole.slice(0, max))) {
    size += sizeOf(segment)
    if (size > room) break
    end = index + segment.length
  }
  return `${whole.slice(0, end).trimEnd()}${ellipsis}`
}

/** Cuts a text to at most `max` bytes of JSON. */
export const cutToBytes = (text: string, max: number): string => cutBySize(text, max, bytesInJson)

/**
 * Cuts a text to at most `max` Unicode code points, ellipsis and all. Halves of pairs count as one, so the count is of
 * what is there before it is made well-formed.
 */
export function cutToCodePoints(text: string, max: number): string {
  // Each code point takes two UTF-16 units at the most.
  const near = text.slice(0, 2 * max + 2).toWellFormed()
  const points = Array.from(near)
  if (points.length <= max) return near
  const room = points.slice(0, max - 1).join('').length
  let end = 0
  for (const { segment, index } of graphemes.segment(near)) {
    if (index + segment.length > room) break
    end = index + segment.length
  }
  return `${near.slice(0, end).trimEnd()}${ellipsis}`
}

/**
 * What `render` makes of a title and a body in at most `max` bytes: the body is cut so that it fits, and the title
 * where that is not enough. Null where even without them there is too much. `render` returns JSON that holds each of
 * the two `copies` times, as a string.
 */
export function renderWithin(
  max: number,
  words: { title: string; body: string },
  render: (title: string, body: string) => string,
  copies = 1,
): string | null {
  const room = (json: string) => Math.floor((max - Buffer.byteLength(json)) / copies)
  const fits = (json: string) => Buffer.byteLength(json) <= max
  const [title, body] = [words.title.toWellFormed(), words.body.toWellFormed()]
  const whole = render(title, body)
  if (fits(whole)) return whole
  const untold = render(title, '')
  if (fits(untold)) return render(title, cutToBytes(body, room(untold)))
  const bare = render('', '')
  return fits(bare) ? render(cutToBytes(title, room(bare)), '') : null
}
