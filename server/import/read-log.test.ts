import { truncate, writeFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { readLines } from './read-lines.ts'
import { readLog } from './read-log.ts'
import { lines, writeLog } from './testing/run-import.ts'

const collect = (file: string) => Array.fromAsync(readLines(file))

test('lines end at line feeds only, with or without one at the end, after a byte order mark or none', async () => {
  expect(await collect(await writeLog('\ufeffa\r\nb\u2028b\rb\n\n한글'))).toEqual(['a\r', 'b\u2028b\rb', '', '한글'])
  expect(await collect(await writeLog('a\nb\n'))).toEqual(['a', 'b'])
  expect(await collect(await writeLog(''))).toEqual([])
  expect(await collect(await writeLog('x'))).toEqual(['x'])
})

test('a character that falls on the edge of two chunks stays whole', async () => {
  const long = '한'.repeat(100_000)
  expect(await collect(await writeLog(`x${long}\n${long}`))).toEqual([`x${long}`, long])
})

test('a gzipped file is told by its content, also where it was joined from several', async () => {
  expect(await collect(await writeLog('a\nb\n', 'log.gz'))).toEqual(['a', 'b'])
  const file = await writeLog('')
  await writeFile(file, Buffer.concat([gzipSync('a\n'), gzipSync('b\n')]))
  expect(await collect(file)).toEqual(['a', 'b'])
})

test('a file that is not there, is no file or is cut off is told of by its name', async () => {
  await expect(collect('/nowhere/log.jsonl')).rejects.toThrow('There is no file /nowhere/log.jsonl.')
  await expect(collect('/')).rejects.toThrow('/ cannot be read')
  const file = await writeLog('line\n'.repeat(100_000), 'log.gz')
  await truncate(file, 100)
  await expect(collect(file)).rejects.toThrow(`${file} ends in the middle`)
})

test('each fault is told with its line, and what answers a faulty line stands by itself', async () => {
  const file = await writeLog(
    lines({ id: 1 }) +
      '{"channel": "tea"\n' +
      '\n' +
      lines({ id: 1, text: 'the same id again' }, { id: 2, time: 'yesterday' }, { replyTo: 2, text: 'an answer' }) +
      lines({ channel: 'books', replyTo: 1, text: 'to another channel' }) +
      lines({ replyTo: 1, text: 'a good one' }),
  )
  const log = await readLog(file, null)
  const skipped = log.faults.map((fault) => [fault.line, fault.skipped])
  expect(skipped).toEqual([[2, true], [4, true], [5, true], [6, false], [7, false]])
  expect(log.faults.map((fault) => fault.problem)).toEqual([
    expect.stringMatching(/^is no JSON: /),
    '"id" 1 is taken by an earlier line of the channel',
    expect.stringMatching(/^"time" must be a time/),
    'what it answers, 2, is no earlier line of the channel',
    'what it answers, 1, is no earlier line of the channel',
  ])
  expect(log.channels.get('tea')!.map(({ text, replyTo }) => [text, replyTo])).toEqual([
    ['hm', null],
    ['an answer', null],
    ['a good one', '1'],
  ])
})
