import { expect, test, vi } from 'vitest'
import { ViewerDocument } from '../client-sdk/index.ts'
import { parseGlobalId } from '../server/lib/global-id.ts'
import { startIdentityProvider } from '../server/testing/identity-provider.ts'
import { startTestApp } from '../server/testing/test-app.ts'
import { failure, operation } from './testing/operations.ts'
import { openRawSocket } from './testing/raw-socket.ts'

const DeleteAccount = operation<{ deleteAccount: boolean }, { username: string }>(
  `mutation DeleteAccount($username: String!) { deleteAccount(username: $username) }`,
)

test('who has just been told that an account is gone does not believe the store that read it before', async () => {
  const provider = await startIdentityProvider()
  const own = await startTestApp(provider.env)
  try {
    const token = await provider.token('eve')
    const { viewer } = await own.client(token).request(ViewerDocument)
    // The news is faster than the transaction can be seen where this one asks.
    own.app.services.sessions.noteEnded((parseGlobalId(viewer!.id) as { userId: string }).userId)
    expect((await failure(own.client(token).request(ViewerDocument))).code).toBe('UNAUTHENTICATED')
  } finally {
    await own.stop()
    await provider.stop()
  }
})

test('an account that another issuer keeps needs a fresh sign-in, and its tokens are refused on all replicas', async () => {
  const provider = await startIdentityProvider()
  const own = await startTestApp(provider.env)
  try {
    const other = await own.addReplica()
    const seconds = Math.floor(Date.now() / 1_000)
    const stale = await provider.token('dora', { auth_time: seconds - 700 })
    const { viewer } = await other.client(stale).request(ViewerDocument)
    const socket = await openRawSocket(other.url, stale)
    const please = (token: string) => own.client(token).request(DeleteAccount, { username: 'dora' })
    expect((await failure(please(stale))).code).toBe('FORBIDDEN')
    expect((await failure(please(await provider.token('dora', { iat: seconds - 700 })))).code).toBe('FORBIDDEN')
    const fresh = await provider.token('dora', { auth_time: seconds - 100 })
    expect(await please(fresh)).toEqual({ deleteAccount: true })
    expect((await failure(own.client(fresh).request(ViewerDocument))).code).toBe('UNAUTHENTICATED')
    expect(await socket.closed).toBe(4403)
    await vi.waitFor(async () => expect((await failure(other.client(stale).request(ViewerDocument))).code).toBe('UNAUTHENTICATED'), 5_000)
    // Nor does a new token make a new account of it, before it has been held long enough.
    const { services, database } = own.app
    const { userId } = parseGlobalId(viewer!.id) as { userId: string }
    await services.accountDeletion.finish({ userId, deleteMessages: false }, database, new AbortController().signal)
    const later = await provider.token('dora')
    expect((await failure(own.client(later).request(ViewerDocument))).code).toBe('UNAUTHENTICATED')
    await database.run(`update identities set held_until = now() - interval '1 second' where user_id = $1`, [userId])
    await services.accountDeletion.sweep(database)
    expect((await own.client(later).request(ViewerDocument)).viewer!.id).not.toBe(viewer!.id)
  } finally {
    await own.stop()
    await provider.stop()
  }
})
