import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { newChannel, say } from '../../schema/testing/operations.ts'
import { userIdOf } from '../../server/testing/devices.ts'
import { type Person, startTestApp, type TestApp } from '../../server/testing/test-app.ts'
import { openDigest, sendAway } from './testing/digest.ts'
import { startBrokenServer, startSmtpServer, type TestSmtpServer } from './testing/smtp-server.ts'

let app: TestApp
let server: TestSmtpServer
let digest: ReturnType<typeof openDigest>
let alice: Person
let bob: Person
beforeAll(async () => {
  ;[app, server] = await Promise.all([startTestApp(), startSmtpServer()])
  digest = openDigest(app, server)
  ;[alice, bob] = await Promise.all([app.signUp('alice'), app.signUp('bob')])
  await say(alice, await newChannel(alice, {}, [bob]), 'hi')
})
beforeEach(async () => {
  server.received.length = 0
  server.answerTo({})
  await sendAway(app, bob)
})
afterAll(async () => {
  digest.close()
  await Promise.all([app.stop(), server.stop()])
})

async function mailedAt(person: Person): Promise<Date | null> {
  const statement = 'select mailed_at from settings where user_id = $1'
  const [row] = await app.app.database.run<{ mailed_at: Date | null }>(statement, [userIdOf(person)])
  return row!.mailed_at
}

test('one mail goes out, however many do it at once', async () => {
  const others = [openDigest(app, server), openDigest(app, server)]
  await Promise.all([digest, ...others].flatMap(({ run }) => [run(bob), run(bob)]))
  expect(server.received).toHaveLength(1)
  for (const other of others) other.close()
})

test('and another a day later', async () => {
  await digest.run(bob)
  await digest.run(bob)
  expect(server.received).toHaveLength(1)
  await app.app.database.run(`update settings set mailed_at = now() - interval '25 hours'`, [])
  await digest.run(bob)
  expect(server.received).toHaveLength(2)
})

test('where the server asks to come back, the job is to be tried again', async () => {
  server.answerTo({ data: () => ({ code: 451, text: '4.3.0 Try again, bob@example.org' }) })
  await expect(digest.run(bob)).rejects.toThrow('Try again')
  expect(await mailedAt(bob)).toBeNull()
  server.answerTo({ rcpt: (address) => ({ code: 450, text: `4.2.1 Greylisted ${address}` }) })
  const [error] = (await Promise.allSettled([digest.run(bob)])) as [PromiseRejectedResult]
  expect(String(error.reason)).not.toContain('@example.org')
  server.answerTo({})
  await digest.run(bob)
  expect(server.received).toHaveLength(1)
})

test('where there is no server, so it is', async () => {
  const gone = await startSmtpServer()
  await gone.stop()
  const lost = openDigest(app, gone)
  await app.app.database.run(`update settings set mailed_at = now() - interval '25 hours'`, [])
  const before = await mailedAt(bob)
  await expect(lost.run(bob)).rejects.toThrow('later')
  expect(await mailedAt(bob)).toEqual(before)
  lost.close()
})

test('where it never says a word, so it is', async () => {
  const silent = await startBrokenServer('silent')
  const lost = openDigest(app, silent, { timeoutMs: 600 })
  await expect(lost.run(bob)).rejects.toThrow('later')
  expect(await mailedAt(bob)).toBeNull()
  lost.close()
  await silent.stop()
})

test('where it may have been taken, it is not sent again', async () => {
  const forgetful = await startBrokenServer('forgets to answer')
  const lost = openDigest(app, forgetful)
  await lost.run(bob)
  await lost.run(bob)
  expect(forgetful.state.mails).toBe(1)
  expect(await mailedAt(bob)).not.toBeNull()
  lost.close()
  await forgetful.stop()
})

test('a mail that is refused is not tried again, and the address stays', async () => {
  server.answerTo({ data: () => ({ code: 554, text: '5.7.1 Spam' }) })
  await digest.run(bob)
  expect(await mailedAt(bob)).not.toBeNull()
  const [row] = await app.app.database.run<{ is: boolean }>(
    `select email_verified_at is not null as is from settings where user_id = $1`,
    [userIdOf(bob)],
  )
  expect(row!.is).toBe(true)
})

test('a mailbox that is no more gets no other', async () => {
  server.answerTo({ rcpt: () => ({ code: 550, text: '5.1.1 No such user' }) })
  await digest.run(bob)
  server.answerTo({})
  await app.app.database.run(`update settings set mailed_at = null`, [])
  await digest.run(bob)
  expect(server.received).toEqual([])
})
