import { unauthenticated } from '../server/errors.ts'
import { builder } from './builder.ts'

builder.mutationFields((t) => ({
  deleteAccount: t.boolean({
    description: `Deletes the viewer’s account, for good. There is no way back; whoever wants to keep something asks for \`requestDataExport\` first.

At once: every session ends and every token is refused, on all devices; the password, devices, settings and the picture are gone; nothing is pushed or mailed any more; and wherever the account is shown it is \`deleted\`, without its name.

Within minutes: it leaves every GROUP and PUBLIC channel, as by \`leaveChannel\`; what it owned has another owner. Its DIRECT channels can be read by the other one and not written to. Drafts, contacts, on others’ lists too, blocks, scheduled messages, reminders, exports and uploads that were sent nowhere are removed.

What stays: messages, with their attachments, and reactions, so that others’ conversations can be read; with \`deleteMessages\` the messages are deleted, too, as by \`deleteMessage\`. Mentions of the account stay and lead to a deleted one. The username can be taken by somebody else after 30 days.

Throws BAD_USER_INPUT where username or password does not fit, FORBIDDEN where the sign-in was too long ago, and UNAUTHENTICATED where the account is gone already: so ends a repetition of what was answered and got lost.`,
    args: {
      username: t.arg.string({ required: true, description: 'The viewer’s own, typed to confirm it.' }),
      password: t.arg.string({
        description:
          'Of accounts that have one. Those that another issuer keeps need a token instead whose `auth_time`, or `iat` where ' +
          'there is none, is at most ten minutes ago.',
      }),
      deleteMessages: t.arg.boolean({
        defaultValue: false,
        description: 'Whether all that the viewer has written is deleted, too.',
      }),
    },
    resolve: async (_, input, context) => {
      if (context.viewer === null) throw unauthenticated()
      await context.services.accountDeletion.delete(context.viewer, {
        username: input.username,
        password: input.password ?? null,
        deleteMessages: input.deleteMessages ?? false,
      })
      context.endCookieSession()
      return true
    },
  }),
}))
