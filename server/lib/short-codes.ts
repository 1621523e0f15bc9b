import { customAlphabet } from 'nanoid'

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/**
 * 62^14 are 1.2 · 10^25 codes. Of a billion that stand for something, whoever tries 100,000 a second finds the first in
 * 3,900 years on average; with twelve characters it would be one. That the store gives out the same code twice happens
 * once in tens of millions of stores with a billion codes, and is noticed.
 */
export const shortCodeLength = 14

/** A new code for a short link: cryptographically random, each character as likely as any other. */
export const newShortCode: () => string = customAlphabet(alphabet, shortCodeLength)

const shape = new RegExp(`^[0-9A-Za-z]{${shortCodeLength}}$`)

/** Whether a text may be a code, in which capitals are not small letters. */
export const isShortCode = (text: string): boolean => shape.test(text)
