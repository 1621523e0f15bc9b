import { createHook } from 'node:async_hooks'
import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createResolve } from './outbound-lookup.ts'
import { createOutbound } from './outbound.ts'

/** What a name server says of a name: addresses of each kind, or nothing at all. */
type Zone = Record<string, { 4?: string[] | 'silent'; 6?: string[] | 'silent' }>

/** An answer to a question (RFC 1035, section 4): no such name, or records that repeat the name by pointing at it. */
function answerTo(question: Buffer, addresses: string[] | null, type: number): Buffer {
  const head = Buffer.from(question.subarray(0, 12))
  head.writeUInt16BE(addresses === null ? 0x8183 : 0x8180, 2)
  head.writeUInt16BE(addresses?.length ?? 0, 6)
  // What comes after the question says how large an answer may be.
  head.writeUInt32BE(0, 8)
  const end = question.indexOf(0, 12) + 5
  const records = (addresses ?? []).map((address) => {
    const data = Buffer.from(type === 1 ? address.split('.').map(Number) : [0x2d, ...Array(14).fill(0), Number(address)])
    const start = Buffer.from('c00c000000010000003c0000', 'hex')
    start.writeUInt16BE(type, 2)
    start.writeUInt16BE(data.length, 10)
    return Buffer.concat([start, data])
  })
  return Buffer.concat([head, question.subarray(12, end), ...records])
}

/** A name server on loopback. Returns its address, and the names it was asked for. */
async function serveNames(zone: Zone) {
  const asked: string[] = []
  const socket = createSocket('udp4')
  socket.on('message', (question, from) => {
    const end = question.indexOf(0, 12)
    const labels: string[] = []
    for (let at = 12; at < end; at += question[at]! + 1) {
      labels.push(question.toString('latin1', at + 1, at + 1 + question[at]!))
    }
    const name = labels.join('.').toLowerCase()
    asked.push(name)
    const type = question.readUInt16BE(end + 1)
    const known = Object.hasOwn(zone, name) ? zone[name]! : undefined
    const found = known?.[type === 1 ? 4 : 6] ?? (known === undefined ? null : [])
    if (found !== 'silent') socket.send(answerTo(question, found, type), from.port, from.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  onTestFinished(() => void socket.close())
  return { asked, server: `127.0.0.1:${socket.address().port}` }
}

const both = { 4: ['192.0.2.1', '192.0.2.2'], 6: ['1'] }

test('a name has the addresses of both kinds, or of the one that it has', async () => {
  const { server } = await serveNames({ 'both.example': both, 'four.example': { 4: ['192.0.2.1'] }, 'none.example': {} })
  const resolve = createResolve([server])
  expect((await resolve('both.example')).toSorted((one, other) => one.address.localeCompare(other.address))).toEqual([
    { address: '192.0.2.1', family: 4 },
    { address: '192.0.2.2', family: 4 },
    { address: '2d00::1', family: 6 },
  ])
  expect(await resolve('four.example')).toEqual([{ address: '192.0.2.1', family: 4 }])
  await expect(resolve('none.example')).rejects.toMatchObject({ code: 'ENODATA' })
  await expect(resolve('nobody.example')).rejects.toMatchObject({ code: 'ENOTFOUND' })
})

test('a name server that is silent about one kind holds nobody up', async () => {
  const { server } = await serveNames({ 'half.example': { 4: ['192.0.2.1'], 6: 'silent' } })
  const began = performance.now()
  expect(await createResolve([server])('half.example')).toEqual([{ address: '192.0.2.1', family: 4 }])
  // Giving up takes four seconds.
  expect(performance.now() - began).toBeLessThan(3_000)
})

test('a name server that is silent is given up, and before that by whoever wants to', async () => {
  const { server, asked } = await serveNames({ 'dead.example': { 4: 'silent', 6: 'silent' } })
  const resolve = createResolve([server])
  const giveUp = new AbortController()
  const givenUp = resolve('dead.example', giveUp.signal)
  await expect.poll(() => asked.length).toBeGreaterThan(0)
  giveUp.abort()
  await expect(givenUp).rejects.toMatchObject({ code: 'ECANCELLED' })
  await expect(resolve('dead.example', giveUp.signal)).rejects.toThrow('aborted')
  await expect(resolve('dead.example')).rejects.toMatchObject({ code: expect.stringMatching(/^E(CANCELLED|TIMEOUT)$/) })
}, 20_000)

test('dead name servers keep nobody else from looking names up', async () => {
  const names = Array.from({ length: 12 }, (_, nth) => `n${nth}.dead.example`)
  const { server, asked } = await serveNames(Object.fromEntries(names.map((name) => [name, { 4: 'silent', 6: 'silent' }])))
  const outbound = createOutbound({ userAgent: 'MaruBot/1.0', resolve: createResolve([server]) })
  let ended = 0
  const fetches = names.map((name) =>
    outbound.fetch(`http://${name}`, { timeoutMs: 3_000, maxBytes: 10 }).catch((error: { reason: string }) => {
      ended++
      return error.reason
    }),
  )
  await expect.poll(() => new Set(asked).size).toBe(12)
  expect(await lookup('localhost', { all: true })).not.toEqual([])
  expect(ended).toBe(0)
  // Closing cuts them all.
  await outbound.close()
  expect(new Set(await Promise.all(fetches))).toEqual(new Set(['failed']))
})

test('only hosts that the operator has named are looked up the way of the system', async () => {
  const ways = async (url: string, allowed: string[]) => {
    const outbound = createOutbound({ userAgent: 'MaruBot/1.0', allowed })
    const seen = new Set<string>()
    const hook = createHook({ init: (_, type) => void (/^(GETADDRINFO|QUERY)/.test(type) && seen.add(type)) }).enable()
    await outbound.fetch(url, { timeoutMs: 500, maxBytes: 10 }).catch(() => undefined)
    hook.disable()
    await outbound.close()
    return [...seen]
  }
  const server = createServer((_, response) => response.end('hello')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  expect(await ways('http://nobody.invalid', [])).toEqual(['QUERYWRAP'])
  expect(await ways(`http://localhost:${port}`, [`localhost:${port}`])).toEqual(['GETADDRINFOREQWRAP'])
})
