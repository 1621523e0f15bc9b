import './account-deletion.ts'
import './active-channels.ts'
import './activities.ts'
import './attachments.ts'
import './autocomplete.ts'
import './audit-log.ts'
import './bans.ts'
import './blocks.ts'
import './channels.ts'
import './contacts.ts'
import './data-exports.ts'
import './devices.ts'
import './drafts.ts'
import './endpoint.ts'
import './error-code.ts'
import './feed.ts'
import './invites.ts'
import './link-previews.ts'
import './members.ts'
import './message-expiry.ts'
import './messages.ts'
import './nodes.ts'
import './pins.ts'
import './presence.ts'
import './reactions.ts'
import './read-state.ts'
import './reminders.ts'
import './reports.ts'
import './scalars.ts'
import './scheduled-messages.ts'
import './search.ts'
import './sessions.ts'
import './settings.ts'
import './short-links.ts'
import './silences.ts'
import './slow-mode.ts'
import './streams.ts'
import './threads.ts'
import './typing.ts'
import './users.ts'
import { builder } from './builder.ts'
import type { Context } from './context.ts'
import { forget } from './loaders.ts'
import { markRateLimits } from './rate-limits.ts'

/** The whole API. */
export const schema = builder.toSchema()
markRateLimits(schema)

// A request's mutations run one after the other: what one of them has loaded may not be so after the next.
for (const mutation of Object.values(schema.getMutationType()!.getFields())) {
  const resolve = mutation.resolve!
  mutation.resolve = async (parent, args, context: Context, info) => {
    const done: unknown = await resolve(parent, args, context, info)
    forget(context.loaders)
    forget(context.own)
    return done
  }
}
