/** The types of the arrays that statements take and give, by what Postgres numbers them: int8[], int4[], text[]. */
const int8s = 1016
const int4s = 1007
const texts = 1009

/** An array as the driver reads it. Arrays may hold arrays, all of one length. */
type Parsed<T> = (T | null | Parsed<T>)[]

/**
 * Arrays as Postgres spells them. The driver would ask each new connection for the array types that there are, which
 * costs a round trip; and where a connection dies over that, it leaves the failure to nobody (postgres 3.4). An array
 * of another type is refused by Postgres as a parameter, and comes back as text.
 */
export const arrayTypes = {
  int8s: arrayType(int8s, String),
  int4s: arrayType(int4s, Number),
  texts: arrayType(texts, String),
}

function arrayType<T>(oid: number, parseElement: (text: string) => T) {
  return {
    to: oid,
    from: [oid],
    // What is spelt already stays as it is.
    serialize: (value: readonly unknown[] | string) => (typeof value === 'string' ? value : spell(value)),
    parse: (text: string) => parse(text, parseElement),
  }
}

const spell = (elements: readonly unknown[]): string => `{${elements.map(spellElement).join(',')}}`

function spellElement(element: unknown): string {
  if (element === undefined) throw new TypeError('An element of an array is undefined')
  if (element === null) return 'NULL'
  return Array.isArray(element) ? spell(element) : `"${String(element).replace(/["\\]/g, '\\$&')}"`
}

/** A brace, an element in quotes, within which a backslash makes the next character literal, or a bare one. */
const token = /[{}]|"((?:[^"\\]|\\.)*)"|[^{},]+/gs

function parse<T>(text: string, parseElement: (text: string) => T): Parsed<T> {
  const outside: Parsed<T> = []
  const open = [outside]
  // Where an array does not begin at 1, its bounds come first.
  for (const [found, quoted] of text.slice(text.indexOf('{')).matchAll(token)) {
    if (found === '{') open.push([])
    else if (found === '}') {
      const array = open.pop()!
      open.at(-1)!.push(array)
    } else if (quoted !== undefined) open.at(-1)!.push(parseElement(quoted.replace(/\\(.)/gs, '$1')))
    else open.at(-1)!.push(found === 'NULL' ? null : parseElement(found))
  }
  return outside[0] as Parsed<T>
}
