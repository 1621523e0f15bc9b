/*
 * What stands in a filled store: what fills it and what measures it have to know.
 */

export const years = 10

/** Channels with history: their ids go from 1, the nth with the nth most messages. As many more are empty. */
export const filledChannels = 5_000

/** Somebody who is in so many of the channels with history. The id is the number. */
export const viewers = [5, 50, 500]

/** The channels of a viewer: evenly spread over their sizes, the largest of all among them. */
export const channelsOf = (viewer: number): number[] =>
  Array.from({ length: viewer }, (_, nth) => 1 + (nth * filledChannels) / viewer)

/** The viewers who are in a channel. */
export const viewersIn = (channelId: number): number[] =>
  viewers.filter((viewer) => (channelId - 1) % (filledChannels / viewer) === 0)

/** The share of messages that name a ticket: a word that no prose has, such as `ticket17`. */
export const ticketShare = 0.05

/** Each ticket is named about so often. */
const ticketUses = 5

/** How many tickets there are among so many messages. Their numbers go from 0. */
export const ticketsIn = (messages: number): number => Math.ceil((messages * ticketShare) / ticketUses)
