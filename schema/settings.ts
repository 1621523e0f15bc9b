import type { Settings } from '../server/domain/settings.ts'
import { builder, ofViewer } from './builder.ts'
import { requireViewer } from './viewer.ts'

const settingsType = builder.objectRef<Settings>('Settings').implement({
  description: 'What the viewer alone sees and sets.',
  fields: (t) => ({
    locale: t.exposeString('locale', { description: 'The language of pushes and mails, as a BCP 47 tag.' }),
    timeZone: t.exposeString('timeZone', { description: 'A zone of the IANA’s database; quiet hours are told by it.' }),
    quietHoursStart: t.exposeString('quietHoursStart', {
      nullable: true,
      description: 'From when on there is no push, as in 22:00; null for no quiet hours.',
    }),
    quietHoursEnd: t.exposeString('quietHoursEnd', {
      nullable: true,
      description: 'Until when, as in 08:00: of the next day where it is the earlier of the two.',
    }),
    pushPreviews: t.exposeBoolean('pushPreviews', { description: 'Whether pushes and mails show what was written.' }),
    emailWhenAway: t.exposeBoolean('emailWhenAway', {
      description: 'Whether a mail tells of what is unread after a long absence, where there is an address.',
    }),
    email: t.exposeString('email', { nullable: true, description: 'Where mail goes, once its owner has said so.' }),
    emailVerified: t.exposeBoolean('emailVerified', {
      description: 'Whether the link that was sent to `email` has been followed.',
    }),
  }),
})

const updateSettingsInput = builder.inputType('UpdateSettingsInput', {
  description: 'An absent field keeps what is there, and null clears it.',
  fields: (t) => ({
    locale: t.string({ description: 'A BCP 47 tag, such as `ko` or `en-GB`; null is `en`.' }),
    timeZone: t.string({ description: 'A zone of the IANA’s database, such as `Asia/Seoul`; null is `UTC`.' }),
    quietHoursStart: t.string({ description: 'A local time, as in 22:00. Both or none, and not the same.' }),
    quietHoursEnd: t.string({ description: 'A local time, as in 08:00.' }),
    pushPreviews: t.boolean({ description: 'Null is true.' }),
    emailWhenAway: t.boolean({ description: 'Null is true.' }),
    email: t.string({
      description:
        'A mail goes there with a link to follow within a day, and nothing else before that. Setting an address that ' +
        'is not verified yet once more sends another; at most one in a minute, and a few in a day (`RATE_LIMITED`).',
    }),
  }),
})

builder.queryFields((t) => ({
  settings: t.field({
    ...ofViewer,
    description: 'The viewer’s own.',
    type: settingsType,
    resolve: (_, __, context) => context.services.settings.find(requireViewer(context)),
  }),
}))

builder.mutationFields((t) => ({
  updateSettings: t.field({
    description: 'Changes some of them.',
    type: settingsType,
    args: { input: t.arg({ type: updateSettingsInput, required: true }) },
    resolve: (_, { input }, context) => context.services.settings.update(requireViewer(context), input),
  }),
}))
