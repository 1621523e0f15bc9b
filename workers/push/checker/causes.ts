import type { Skip } from '../deliveries.ts'
import type { Device, Message } from './ledger.ts'

/** Why somebody is not told of a message: the reasons of the log, and two for which there may be no row. */
export type Cause = Skip | 'AUTHOR' | 'DEAD'

const isTrue = (value: boolean): boolean => value
const isFalse = (value: boolean): boolean => !value

/** Whether a cause may have held at some moment of a span, and whether it may not have held at some moment of it. */
type Rule = { may: Question; mayNot: Question }
type Question = (message: Message, device: Device, from: number, to: number) => boolean

const placeOf = ({ channel }: Message, { owner }: Device) => owner.places.get(channel)!

const rules: Record<Cause, Rule> = {
  AUTHOR: {
    may: ({ author }, { owner }) => author === owner,
    mayNot: ({ author }, { owner }) => author !== owner,
  },
  // Who has come back since, has come after it was said.
  LEFT: {
    may(message, device, from, to) {
      const { member } = placeOf(message, device)
      return member.may(isFalse, from, to) || member.may(isFalse, message.asked, message.answered)
    },
    mayNot(message, device, from, to) {
      const { member } = placeOf(message, device)
      return member.may(isTrue, from, to) && member.may(isTrue, message.asked, message.answered)
    },
  },
  READ: {
    may: (message, device, _, to) => placeOf(message, device).read.mayBeRead(message.seq, to),
    mayNot: (message, device, from) => placeOf(message, device).read.mayBeUnread(message.seq, from),
  },
  LEVEL: {
    may: (message, device, from, to) => levelIs(message, device, true, from, to),
    mayNot: (message, device, from, to) => levelIs(message, device, false, from, to),
  },
  MUTED: {
    may: (message, device, from, to) => placeOf(message, device).muted.may(isTrue, from, to),
    mayNot: (message, device, from, to) => placeOf(message, device).muted.may(isFalse, from, to),
  },
  BLOCKED: {
    may: ({ author }, { owner }, from, to) => owner.blocks.get(author)?.may(isTrue, from, to) ?? false,
    mayNot: ({ author }, { owner }, from, to) => owner.blocks.get(author)?.may(isFalse, from, to) ?? true,
  },
  QUIET_HOURS: {
    may: (_, { owner }, from, to) => owner.quiet.may(isTrue, from, to),
    mayNot: (_, { owner }, from, to) => owner.quiet.may(isFalse, from, to),
  },
  DO_NOT_DISTURB: {
    may: (_, { owner }, from, to) => owner.busy.may(isTrue, from, to),
    mayNot: (_, { owner }, from, to) => owner.busy.may(isFalse, from, to),
  },
  ACTIVE: {
    may: ({ channel }, { shows }, from, to) => shows.may((shown) => shown === channel, from, to),
    mayNot: ({ channel }, { shows }, from, to) => shows.may((shown) => shown !== channel, from, to),
  },
  DELETED: {
    may: ({ deleted }, _, from, to) => deleted.may(isTrue, from, to),
    mayNot: ({ deleted }, _, from, to) => deleted.may(isFalse, from, to),
  },
  DEAD: {
    may: (_, { dead }, from, to) => dead.may(isTrue, from, to),
    mayNot: (_, { dead }, from, to) => dead.may(isFalse, from, to),
  },
}

/** Whether the level may have been too low, or may not have been, at some moment. */
function levelIs(message: Message, device: Device, isTooLow: boolean, from: number, to: number): boolean {
  const { asked, answered, named } = message
  const isNamed = named.includes(device.owner)
  // A name calls nobody who is not there, or who has blocked the author.
  const mayNotBeCalled =
    !isNamed ||
    rules.BLOCKED.may(message, device, asked, answered) ||
    placeOf(message, device).member.may(isFalse, asked, answered)
  const { level } = placeOf(message, device)
  return isTooLow
    ? level.may((is) => is === 'NONE' || (is === 'MENTIONS' && mayNotBeCalled), from, to)
    : level.may((is) => is === 'ALL' || (is === 'MENTIONS' && isNamed), from, to)
}

const causes = Object.keys(rules) as Cause[]

export const isCause = (name: string | null): name is Cause => name !== null && Object.hasOwn(rules, name)

/** Whether this cause may have held at some moment of the span. */
export const mayHold = (cause: Cause, message: Message, device: Device, from: number, to: number): boolean =>
  rules[cause].may(message, device, from, to)

/** The first cause for which the device may have been left out at some moment of the span; null where there is none. */
export const excuseFor = (message: Message, device: Device, from: number, to: number): Cause | null =>
  causes.find((cause) => rules[cause].may(message, device, from, to)) ?? null

/**
 * The first cause that held throughout the span, so that the device must not have been told in it; null where there is
 * none. `except` are those that are not looked at.
 */
export const banFor = (message: Message, device: Device, from: number, to: number, except: readonly Cause[] = []) =>
  causes.find((cause) => !except.includes(cause) && !rules[cause].mayNot(message, device, from, to)) ?? null
