import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { essenceOf, isDisguised, isMedia, isOnList, readsAsText } from './file-types.ts'

test('a type is read without its parameters and its case', () => {
  expect(essenceOf(' Text/Plain; charset=utf-8')).toBe('text/plain')
  expect(essenceOf('application/vnd.oasis.opendocument.text')).toBe('application/vnd.oasis.opendocument.text')
  for (const wrong of ['', 'png', 'a/b/c', 'a /b', 'image/png\r\nX: y', `image/${'x'.repeat(127)}`]) expect(essenceOf(wrong), wrong).toBeNull()
})

test('a list names types, beginnings of types, or anything', () => {
  const list = ['image/*', 'text/plain', 'application/vnd.oasis.opendocument.*']
  for (const type of ['image/png', 'text/plain', 'application/vnd.oasis.opendocument.text']) expect(isOnList(type, list)).toBe(true)
  for (const type of ['text/html', 'video/mp4', 'xtext/plain', 'imagex/png']) expect(isOnList(type, list)).toBe(false)
  expect(isOnList('x/y', ['*'])).toBe(true)
  expect(isOnList('x/y', [])).toBe(false)
})

test('what is shown is pictures, videos and sounds, and never a document', () => {
  expect(['image/png', 'video/mp4', 'audio/ogg'].every(isMedia)).toBe(true)
  expect(['image/svg+xml', 'text/html', 'application/pdf'].some(isMedia)).toBe(false)
})

test('text is what reads as text in an encoding that people use', () => {
  const eucKr = Buffer.from([0xc8, 0xb8, 0xc0, 0xc7, 0xb7, 0xcf, 0x0a])
  const big = Buffer.from('\uFEFF회의록', 'utf16le').swap16()
  const western = Buffer.from('café\nnaïve', 'latin1')
  const japanese = Buffer.from([0x82, 0xa0, 0x82, 0xa2, 0x83, 0x41])
  const utf16 = Buffer.from('\uFEFF회의록', 'utf16le')
  for (const bytes of [Buffer.from('회의록'), utf16, big, eucKr, western, japanese, Buffer.alloc(0)]) {
    expect(readsAsText(bytes), bytes.toString('hex')).toBe(true)
  }
  // Cut off within a character, as the first bytes of a longer file are.
  expect(readsAsText(Buffer.from('회의록').subarray(0, 8))).toBe(true)
  for (const bytes of [Buffer.from('a\0b'), randomBytes(1_000), Buffer.from('\x01\x02'), Buffer.from('PK\x03\x04\x00')]) {
    expect(readsAsText(bytes), bytes.toString('hex', 0, 20)).toBe(false)
  }
})

test('a part of an office file is enough', async () => {
  const zip = Buffer.concat([Buffer.from('PK\x03\x04'), randomBytes(300)])
  const compound = Buffer.concat([Buffer.from('d0cf11e0a1b11ae1', 'hex'), Buffer.alloc(600)])
  const word = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document'
  expect(await isDisguised(zip, word)).toBe(false)
  expect(await isDisguised(zip, 'application/vnd.hancom.hwpx')).toBe(false)
  expect(await isDisguised(compound, 'application/x-hwp')).toBe(false)
  expect(await isDisguised(compound, word)).toBe(true)
  expect(await isDisguised(zip, 'application/x-hwp')).toBe(true)
  expect(await isDisguised(Buffer.from('text'), word)).toBe(true)
})

test('of an unknown type nothing can be said, unless it is something that is known', async () => {
  expect(await isDisguised(Buffer.from('whatever'), 'application/x-own')).toBe(false)
  expect(await isDisguised(Buffer.from('%PDF-1.7\n'), 'application/x-own')).toBe(true)
  expect(await isDisguised(Buffer.from('%PDF-1.7\n'), 'application/octet-stream')).toBe(false)
  expect(await isDisguised(Buffer.alloc(0), 'image/png')).toBe(true)
})
