import type { SignedIn } from '../server/domain/sessions.ts'
import { builder } from './builder.ts'
import type { Context } from './context.ts'
import { userType } from './types.ts'

const authPayload = builder.objectRef<SignedIn>('AuthPayload').implement({
  description: 'A session that has just begun, or goes on.',
  fields: (t) => ({
    accessToken: t.exposeString('accessToken', {
      description: 'Goes into `Authorization: Bearer …`, and into `connection_init` as `token`.',
    }),
    accessTokenExpiresAt: t.field({
      description: 'Call `refreshSession` before. Sockets that it opened close then, and come back with a new one.',
      type: 'DateTime',
      resolve: (payload) => payload.accessTokenExpiresAt,
    }),
    refreshToken: t.exposeString('refreshToken', { description: 'Works once: `refreshSession` gives the next one.' }),
    viewer: t.field({ description: 'Who is signed in.', type: userType, resolve: (payload) => payload.user }),
  }),
})

const signUpInput = builder.inputType('SignUpInput', {
  description: 'A new account.',
  fields: (t) => ({
    username: t.string({
      required: true,
      description: '1 to 32 letters, digits, dots, dashes and underscores, in any script.',
    }),
    password: t.string({ required: true, description: 'At least 8 characters.' }),
    displayName: t.string({ description: 'The username where it is left out.' }),
  }),
})

const signInInput = builder.inputType('SignInInput', {
  description: 'Who signs in.',
  fields: (t) => ({
    username: t.string({ required: true, description: 'Whatever its case.' }),
    password: t.string({ required: true, description: 'That of the account.' }),
  }),
})

/** Keeps GraphiQL signed in as who it has just signed in as. */
async function welcome(context: Context, signedIn: SignedIn): Promise<SignedIn> {
  const cookie = await context.services.sessions.cookieToken(signedIn)
  context.startCookieSession(cookie.token, cookie.expiresAt)
  return signedIn
}

builder.mutationFields((t) => ({
  signUp: t.field({
    description: 'Makes an account and signs it in.',
    type: authPayload,
    args: { input: t.arg({ type: signUpInput, required: true }) },
    resolve: async (_, { input }, context) => welcome(context, await context.services.sessions.signUp(input)),
  }),
  signIn: t.field({
    description: 'Begins a session. UNAUTHENTICATED does not tell which of the two was wrong.',
    type: authPayload,
    args: { input: t.arg({ type: signInInput, required: true }) },
    resolve: async (_, { input }, context) => welcome(context, await context.services.sessions.signIn(input)),
  }),
  refreshSession: t.field({
    description: 'Each refresh token works once; using it twice signs out every session that came from it.',
    type: authPayload,
    args: { refreshToken: t.arg.string({ required: true }) },
    resolve: async (_, { refreshToken }, context) =>
      welcome(context, await context.services.sessions.refresh(refreshToken)),
  }),
  signOut: t.boolean({
    description: 'Ends the session that this refresh token belongs to; false where it had ended before.',
    args: { refreshToken: t.arg.string({ required: true }) },
    resolve: (_, { refreshToken }, context) => {
      context.endCookieSession()
      return context.services.sessions.signOut(refreshToken)
    },
  }),
}))
