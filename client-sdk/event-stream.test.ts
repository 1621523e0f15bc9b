import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createMaruClient, type Cursors, type MaruClient, type MaruClientOptions, TypingDocument } from './index.ts'
import { readAll, sleep, take, until, upTo } from './testing/read.ts'
import { error, ToyServer } from './testing/toy-server.ts'

let server: ToyServer
let client: MaruClient
const soon = { minDelayMs: 10, maxDelayMs: 50 }

const connect = (options: Partial<MaruClientOptions> = {}) => {
  client = createMaruClient({ url: server.url, retry: soon, ...options })
  return client
}
const sent = (type: string) => server.frames.filter((frame) => frame.type === type)
const seqs = (events: { message: { seq: number } }[]) => events.map((event) => event.message.seq)

beforeEach(async () => void (server = await new ToyServer().start()))
afterEach(async () => {
  client.close()
  await server.stop()
})

describe('client.messages', () => {
  it('gives what came after the cursor, then what comes', async () => {
    for (const _ of upTo(3)) server.send('general')
    const events = connect().messages({ channelId: 'general', after: 'general@1' })
    expect(seqs(await take(events, 2))).toEqual([2, 3])
    server.send('general')
    const [event] = await take(events, 1)
    expect(event).toMatchObject({ stream: 'general', cursor: 'general@4', message: { content: 'message 4' } })
  })

  it('misses and repeats nothing, however often the connection breaks', async () => {
    const total = 400
    const events = connect().messages({ channelId: 'general', after: 'general@0' })
    const chaos = setInterval(() => server.breakConnections(), 35)
    const writer = (async () => {
      for (let seq = 1; seq <= total; seq++) {
        server.send('general')
        if (seq % 4 === 0) await sleep(5)
      }
    })()
    const read = await take(events, total)
    clearInterval(chaos)
    await writer
    expect(seqs(read)).toEqual(upTo(total))
    expect(sent('connection_init').length).toBeGreaterThan(5)
  })

  it('starts from where the channel stood, also when the connection breaks before the first event', async () => {
    for (const _ of upTo(5)) server.send('general')
    const events = connect().messages({ channelId: 'general' })
    await until(() => sent('subscribe').length === 1)
    server.breakConnections()
    server.send('general')
    expect(seqs(await take(events, 1))).toEqual([6])
  })

  it('outlasts a server that is away for a while', async () => {
    const events = connect().messages({ channelId: 'general', after: 'general@0' })
    server.send('general')
    await take(events, 1)
    const port = Number(new URL(server.url).port)
    await server.stop()
    await sleep(100)
    server = await new ToyServer().start(port)
    for (const _ of upTo(3)) server.send('general')
    expect(seqs(await take(events, 2))).toEqual([2, 3])
  })

  it('notices a connection that died in silence', async () => {
    const events = connect({ keepAliveMs: 40 }).messages({ channelId: 'general', after: 'general@0' })
    server.send('general')
    await take(events, 1)
    server.freezeConnections()
    server.send('general')
    expect(seqs(await take(events, 1))).toEqual([2])
  })

  it.each([1001, 1011, 1012, 1013, 4500])('goes on after the server closed with %i', async (code) => {
    const events = connect().messages({ channelId: 'general', after: 'general@0' })
    server.send('general')
    await take(events, 1)
    server.closeConnections(code)
    server.send('general')
    expect(seqs(await take(events, 1))).toEqual([2])
  })

  it.each(['UNAVAILABLE', 'RATE_LIMITED', 'INTERNAL'])('goes on after %s', async (code) => {
    server.send('general')
    server.failNext = error(code, { retryAfterMs: 20 })
    const events = connect().messages({ channelId: 'general', after: 'general@0' })
    expect(seqs(await take(events, 1))).toEqual([1])
    expect(sent('subscribe')).toHaveLength(2)
  })

  it.each(['FORBIDDEN', 'CURSOR_EXPIRED', 'NOT_FOUND'])('throws %s, and leaves other streams alone', async (code) => {
    connect()
    const lobby = client.messages({ channelId: 'lobby', after: 'lobby@0' })
    await until(() => sent('subscribe').length === 1)
    server.failNext = error(code)
    const general = client.messages({ channelId: 'general', after: 'general@0' })
    await expect(general.next()).rejects.toMatchObject({ code })
    expect(await general.next()).toEqual({ value: undefined, done: true })
    server.send('lobby')
    expect(seqs(await take(lobby, 1))).toEqual([1])
    expect(sent('connection_init')).toHaveLength(1)
  })

  it('holds a cursor, not a queue, for a reader that is slow', async () => {
    for (const _ of upTo(95)) server.send('general')
    const events = connect().messages({ channelId: 'general', after: 'general@0', bufferSize: 10 })
    await until(() => sent('complete').length === 1)
    await sleep(50)
    expect(sent('subscribe')).toHaveLength(1)
    expect(seqs(await take(events, 95))).toEqual(upTo(95))
    const starts = sent('subscribe').map((frame) => frame.payload?.variables?.after)
    expect(starts.slice(0, 2)).toEqual(['general@0', 'general@10'])
    expect(starts.length).toBeGreaterThan(8)
  })
})

describe('client.inbox', () => {
  it('goes on from the newest cursor of each stream', async () => {
    server.send('general')
    server.send('lobby')
    const events = connect().inbox()
    expect(await take(events, 1)).toEqual([{ __typename: 'SyncedEvent', stream: 'alice', cursor: 'alice@0' }])
    server.send('general')
    await take(events, 1)
    server.breakConnections()
    // Nothing had come from here before.
    server.send('lobby')
    expect(await take(events, 2)).toMatchObject([{ cursor: 'lobby@2', message: { seq: 2 } }, { cursor: 'alice@0' }])
    expect(sent('subscribe').at(-1)?.payload?.variables).toEqual({ after: ['general@2', 'lobby@1', 'alice@0'] })
  })

  it('goes on in a channel that was joined meanwhile, though nothing had happened in it', async () => {
    const events = connect().inbox()
    await take(events, 1)
    server.join('random')
    expect(await take(events, 1)).toMatchObject([{ __typename: 'MembershipEvent', channel: { id: 'random' } }])
    server.breakConnections()
    server.send('random')
    expect(await take(events, 1)).toMatchObject([{ stream: 'random', message: { seq: 1 } }])
  })

  it('follows more channels than one page of them holds', async () => {
    const channels = upTo(250).map((number) => `channel ${number}`)
    for (const channel of channels) server.send(channel)
    const events = connect().inbox({ after: { 'channel 7': 'channel 7@0' } })
    expect(await take(events, 1)).toMatchObject([{ stream: 'channel 7', message: { seq: 1 } }])
    const after = sent('subscribe')[0]?.payload?.variables?.after
    const others = channels.filter((channel) => channel !== 'channel 7')
    expect(after).toEqual(['channel 7@0', ...others.map((channel) => `${channel}@1`)])
  })

  it('misses and repeats nothing in any channel', async () => {
    const channels = ['general', 'lobby', 'random']
    for (const channel of channels) server.send(channel)
    const events = connect().inbox({ after: { general: 'general@0', lobby: 'lobby@0', random: 'random@0' } })
    const chaos = setInterval(() => server.breakConnections(), 30)
    const writer = (async () => {
      for (const seq of upTo(99)) {
        for (const channel of channels) server.send(channel)
        if (seq % 4 === 0) await sleep(5)
      }
    })()
    const read: Record<string, number[]> = { general: [], lobby: [], random: [] }
    for await (const event of events) {
      if (event.__typename !== 'MessageEvent') continue
      read[event.stream]!.push(event.message.seq)
      if (channels.every((channel) => read[channel]!.length >= 100)) break
    }
    clearInterval(chaos)
    await writer
    for (const channel of channels) expect(read[channel]).toEqual(upTo(100))
    expect(sent('connection_init').length).toBeGreaterThan(2)
  })

  it('takes the cursors that another run has kept', async () => {
    for (const _ of upTo(3)) server.send('general')
    const kept: Record<string, string> = {}
    for await (const event of connect().inbox({ after: { general: 'general@0' } })) {
      kept[event.stream] = event.cursor
      if (event.__typename === 'MessageEvent' && event.message.seq === 2) break
    }
    const later = client.inbox({ after: JSON.parse(JSON.stringify(kept)) as Cursors })
    expect(await take(later, 1)).toMatchObject([{ message: { seq: 3 } }])
  })
})

describe('client.subscribe', () => {
  it('runs any document over the same socket', async () => {
    connect()
    const messages = client.messages({ channelId: 'general', after: 'general@0' })
    const typing = client.subscribe(TypingDocument, { channelId: 'general' })
    await until(() => sent('subscribe').length === 2)
    server.send('general')
    expect(await take(typing, 1)).toMatchObject([{ typing: { typing: true, user: { username: 'alice' } } }])
    await take(messages, 1)
    expect(sent('connection_init')).toHaveLength(1)
  })
})

describe('the socket', () => {
  it('stays while nothing happens on it', async () => {
    const events = connect({ keepAliveMs: 20 }).messages({ channelId: 'general', after: 'general@0' })
    await until(() => sent('ping').length > 5)
    server.send('general')
    await take(events, 1)
    expect(sent('connection_init')).toHaveLength(1)
  })

  it('is there from the start, and again after every break, with `lazy: false`', async () => {
    const states: string[] = []
    connect({ lazy: false, onConnection: (state) => states.push(state) })
    await until(() => states.at(-1) === 'open')
    const port = Number(new URL(server.url).port)
    await server.stop()
    await until(() => states.filter((state) => state === 'connecting').length > 2)
    server = await new ToyServer().start(port)
    await until(() => states.at(-1) === 'open')
    expect(states.slice(0, 4)).toEqual(['connecting', 'open', 'closed', 'connecting'])
  })
})

describe('ending', () => {
  it('unsubscribes at once when the loop is left', async () => {
    server.send('general')
    for await (const _ of connect().messages({ channelId: 'general', after: 'general@0' })) break
    await until(() => sent('complete').length === 1)
  })

  it('ends a waiting next() by return()', async () => {
    const events = connect().messages({ channelId: 'general', after: 'general@0' })
    const waiting = events.next()
    await until(() => sent('subscribe').length === 1)
    await events.return?.()
    expect(await waiting).toEqual({ value: undefined, done: true })
    await until(() => sent('complete').length === 1)
  })

  it('ends the loop by a signal', async () => {
    const leaving = new AbortController()
    const events = connect().messages({ channelId: 'general', after: 'general@0', signal: leaving.signal })
    await until(() => sent('subscribe').length === 1)
    const rest = readAll(events)
    leaving.abort()
    expect(await rest).toEqual([])
    await until(() => sent('complete').length === 1)
  })

  it('ends every loop by close()', async () => {
    connect()
    const loops = ['general', 'lobby'].map((channelId) => readAll(client.messages({ channelId })))
    await until(() => sent('subscribe').length === 2)
    client.close()
    expect(await Promise.all(loops)).toEqual([[], []])
  })

  it('ends by close() while the server is away', async () => {
    connect({ url: 'http://127.0.0.1:1/graphql', retry: { minDelayMs: 20_000 } })
    const loop = readAll(client.messages({ channelId: 'general', after: 'general@0' }))
    await sleep(30)
    client.close()
    expect(await loop).toEqual([])
  })
})
