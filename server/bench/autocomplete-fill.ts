import { newPerson, publicChannel } from '../domain/name-keys.ts'
import { leadOf, storedKeys } from '../lib/hangul-keys.ts'
import { createRandom, type Random } from '../testing/random.ts'
import type { BenchStore } from './bench-store.ts'
import { copyInto, type Sink, spellText } from './copy-into.ts'

/** How much there is to find. */
export type Sizes = { people: number; channels: number; terms: number }

/** Those who type: the first people. Each is in so many channels, talks with so many, and has so many contacts. */
export const viewers = 200
const channelsOfViewer = 150
const peersOfViewer = 40
const contactsOfViewer = 50

/** Channels in which people are mentioned, by how many members they have; the others have viewers for members alone. */
export const crowded = [3_000, 100_000]

/** Family names of Korea with their share in per mille, and syllables that given names are made of. */
const families: [name: string, share: number][] = [
  ['김', 215], ['이', 147], ['박', 84], ['최', 47], ['정', 43], ['강', 24], ['조', 21], ['윤', 21], ['장', 20], ['임', 17],
  ['한', 15], ['오', 15], ['서', 15], ['신', 15], ['권', 14], ['황', 14], ['안', 14], ['송', 14], ['전', 11], ['홍', 11],
  ['유', 10], ['고', 9], ['문', 9], ['양', 9], ['손', 9], ['배', 8], ['백', 8], ['허', 7], ['남', 6], ['심', 6],
]
const given = Array.from(
  '민서준지우현수영도윤하은예진주원호연성재경아정유나승혜선미동규태희상훈종기보람솔다빈찬건시율로이슬채가온해린새별봄',
)
const firsts = 'james mary robert linda john susan michael karen david lisa william nancy richard betty joseph sandra thomas ashley daniel emily paul kate mark laura george anna kevin ruth brian sofia edward maria'.split(' ')
const lasts = 'smith johnson williams brown jones garcia miller davis rodriguez martinez hernandez lopez wilson anderson taylor moore jackson martin lee perez thompson white harris clark lewis walker hall allen young king'.split(' ')

const pickFamily = (random: Random): string => {
  let left = random.below(families.reduce((sum, [, share]) => sum + share, 0))
  return families.find(([, share]) => (left -= share) < 0)![0]
}

/** How well known the nth of something is: few are, by Zipf's law; 0 to 300. */
const scoreAt = (random: Random) => Math.round(Math.min(300, 16 * Math.log2(1 + 1 / (random.next() + 0.0001))) / 4) * 4

const words = (random: Random) => {
  const korean = Array.from({ length: 8_000 }, () => Array.from({ length: 2 + random.below(2) }, () => random.pick(given)).join(''))
  const syllables = 'ba be bo ca ce co da de di do fa fi ga go ha he hi ka ke ki la le li lo ma me mi mo na ne ni no pa pe pi po ra re ri ro sa se si so ta te ti to va ve vi wa we wi za ze'.split(' ')
  const english = Array.from({ length: 8_000 }, () => Array.from({ length: 2 + random.below(3) }, () => random.pick(syllables)).join(''))
  return { korean, english }
}

/**
 * Fills a store with people, three of five with Korean names, PUBLIC channels and search terms, each searched for by five
 * to eight people. The same names stand in a table by themselves, `plain_names`, to be searched without any of this.
 */
export async function fillNames(store: BenchStore, { people, channels, terms }: Sizes): Promise<void> {
  const random = createRandom(7)
  const { korean, english } = words(random)
  // Indexes that are there meanwhile make it many times as long.
  await store.admin.run('alter table name_keys drop constraint name_keys_lead_key_kind_subject_id_pk', [])
  await store.admin.run('drop index name_keys_subject', [])
  await store.admin.run('create table plain_names (name text not null, kind text not null, id bigint not null, popularity int not null)', [])
  const tables: Record<string, string> = {
    users: 'id, username, display_name, created_at, last_active_at',
    usernames: 'key, user_id',
    name_keys: 'lead, key, kind, subject_id, score',
    plain_names: 'name, kind, id, popularity',
    channels: 'id, kind, name, created_at, member_count',
    search_samples: 'user_id, day, term',
  }
  const sinks: Record<string, Sink> = {}
  for (const [table, columns] of Object.entries(tables)) sinks[table] = await copyInto(store.url, table, columns)
  const room = () => Promise.all(Object.values(sinks).map((sink) => sink.room()))
  const now = new Date().toISOString()

  function putNames({ kind, id, names }: ReturnType<typeof newPerson>, score: number) {
    for (const key of new Set(names.flatMap((name) => storedKeys(name, { isPerson: kind === 'USER' })))) {
      sinks.name_keys!.put(spellText(leadOf(key)), spellText(key), kind, id, score)
    }
    for (const name of names) sinks.plain_names!.put(spellText(name), kind, id, score)
  }

  for (let id = 1; id <= people; id++) {
    const isKorean = random.chance(0.6)
    const first = random.pick(firsts)
    const display = isKorean
      ? pickFamily(random) + random.pick(given) + random.pick(given)
      : `${first} ${random.pick(lasts)}`
    const username = isKorean ? `${random.pick(english)}.${id}` : `${first}${id}`
    sinks.users!.put(id, username, display, now, now)
    sinks.usernames!.put(username, id)
    putNames(newPerson({ id: String(id), username, displayName: display }), scoreAt(random))
    if (id % 1_000 === 0) await room()
  }
  for (let nth = 1; nth <= channels; nth++) {
    const name = `${random.pick(random.chance(0.5) ? korean : english)} ${random.pick(random.chance(0.5) ? korean : english)}`
    const memberCount = crowded[nth - 1] === undefined ? 1 + random.below(50) : Math.min(crowded[nth - 1]!, people)
    const id = people + nth
    sinks.channels!.put(id, 'PUBLIC', name, now, memberCount)
    putNames(publicChannel({ id: String(id), name, memberCount }), scoreAt(random))
    if (nth % 1_000 === 0) await room()
  }
  const today = now.slice(0, 10)
  const seen = new Set<string>()
  for (let nth = 0; seen.size < terms; nth++) {
    const list = random.chance(0.6) ? korean : english
    const term = `${random.pick(list)} ${random.pick(list)}`
    if (seen.has(term)) continue
    seen.add(term)
    const most = 5 + random.below(4)
    const from = 1 + random.below(people - most)
    for (let user = 0; user < most; user++) sinks.search_samples!.put(from + user, today, term)
    sinks.plain_names!.put(term, 'TERM', nth, most)
    if (nth % 1_000 === 0) await room()
  }
  for (const sink of Object.values(sinks)) await sink.end()
  await fillViewers(store, people, channels, random)
  for (const statement of [
    'alter table name_keys add constraint name_keys_lead_key_kind_subject_id_pk primary key (lead, key, kind, subject_id)',
    'create index name_keys_subject on name_keys (subject_id)',
    // What LIKE and the order need, whichever is the better.
    'create index on plain_names (lower(name) text_pattern_ops, popularity desc)',
    'create index on plain_names (popularity desc)',
    'vacuum (analyze)',
  ]) {
    await store.admin.run(statement, [])
  }
}

/** Whom viewers talk with, and where; and the members of crowded channels. */
async function fillViewers(store: BenchStore, people: number, channels: number, random: Random): Promise<void> {
  const direct = await copyInto(store.url, 'channels', 'id, kind, created_at, member_count, last_id')
  const members = await copyInto(store.url, 'members', 'channel_id, user_id, role, joined_at, change')
  const contacts = await copyInto(store.url, 'contacts', 'user_id, contact_id, added_at')
  const now = new Date().toISOString()
  let nextId = people + channels
  const put = (channelId: number, userId: number, change: number) => members.put(channelId, userId, 'MEMBER', now, change)
  const others = (count: number, from: number, below: number) => {
    const picked = new Set<number>()
    while (picked.size < count) picked.add(from + random.below(below))
    return picked
  }
  for (let viewer = 1; viewer <= viewers; viewer++) {
    for (const id of others(channelsOfViewer, people + 1 + crowded.length, channels - crowded.length)) put(id, viewer, viewer)
    for (const peer of others(peersOfViewer, viewers + 1, people - viewers)) {
      const id = ++nextId
      direct.put(id, 'DIRECT', now, 2, id)
      put(id, viewer, 1)
      put(id, peer, 2)
    }
    for (const contact of others(contactsOfViewer, viewers + 1, people - viewers)) contacts.put(viewer, contact, now)
    await Promise.all([direct.room(), members.room(), contacts.room()])
  }
  for (const [nth, size] of crowded.entries()) {
    // Spread over everybody, the viewers among them.
    const step = Math.max(1, Math.floor(people / size))
    const ids = new Set(Array.from({ length: viewers }, (_, viewer) => viewer + 1))
    for (let id = viewers + 1; ids.size < Math.min(size, people); id = 1 + ((id - 1 + step) % people)) ids.add(id)
    let change = 0
    for (const id of ids) {
      put(people + 1 + nth, id, ++change)
      if (change % 1_000 === 0) await members.room()
    }
  }
  for (const sink of [direct, members, contacts]) await sink.end()
}
