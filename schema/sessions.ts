import type { SignedIn } from '../server/domain/sessions.ts'
import { builder } from './builder.ts'
import type { Context } from './context.ts'
import { userType } from './types.ts'

const authPayload = builder.objectRef<SignedIn>('AuthPayload').implement({
  fields: (t) => ({
    accessToken: t.exposeString('accessToken', {
      description: 'Goes into `Authorization: Bearer …`, and into `connection_init` as `token`.',
    }),
    accessTokenExpiresAt: t.field({ type: 'DateTime', resolve: (payload) => payload.accessTokenExpiresAt }),
    refreshToken: t.exposeString('refreshToken', { description: 'Works once: `refreshSession` gives the next one.' }),
    viewer: t.field({ type: userType, resolve: (payload) => payload.user }),
  }),
})

const signUpInput = builder.inputType('SignUpInput', {
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
  fields: (t) => ({
    username: t.string({ required: true }),
    password: t.string({ required: true }),
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
