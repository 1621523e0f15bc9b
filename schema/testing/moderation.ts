import { type Person, startTestApp, type TestApp } from '../../server/testing/test-app.ts'
import { parseGlobalId } from '../../server/lib/global-id.ts'
import { operation } from './operations.ts'

export const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString()

const banMember = operation(`mutation Ban($channelId: ID!, $userId: ID!, $until: DateTime, $reason: String) {
  banMember(channelId: $channelId, userId: $userId, until: $until, reason: $reason) { channel { id memberCount } }
}`)
const unbanMember = operation(`mutation Unban($channelId: ID!, $userId: ID!) {
  unbanMember(channelId: $channelId, userId: $userId) { channel { id } }
}`)
const channelBans = operation(`query Bans($channelId: ID!, $first: Int, $after: String) {
  channelBans(channelId: $channelId, first: $first, after: $after) {
    edges { cursor node { user { username } bannedBy { username } bannedAt until reason } } pageInfo { hasNextPage endCursor }
  }
}`)
const silenceMember = operation(`mutation Silence($channelId: ID!, $userId: ID!, $until: DateTime, $reason: String) {
  silenceMember(channelId: $channelId, userId: $userId, until: $until, reason: $reason) { channel { id } }
}`)

type Other = Pick<Person, 'id'>
type Terms = { until?: string | null; reason?: string | null }

export const ban = async (person: Person, channelId: string, other: Other, terms: Terms = {}) =>
  (await person.client.request(banMember, { channelId, userId: other.id, ...terms })).banMember.channel

export const unban = (person: Person, channelId: string, other: Other) =>
  person.client.request(unbanMember, { channelId, userId: other.id })

export const silence = (person: Person, channelId: string, other: Other, until: string | null, reason: string | null = null) =>
  person.client.request(silenceMember, { channelId, userId: other.id, until, reason })

export type Ban = {
  user: { username: string }
  bannedBy: { username: string }
  bannedAt: string
  until: string | null
  reason: string | null
}

type Page = { first?: number; after?: string | null }

export async function bansOf(person: Person, channelId: string, page: Page = {}) {
  const { channelBans: found } = await person.client.request(channelBans, { channelId, ...page })
  return { bans: found.edges.map((edge: { node: Ban }) => edge.node) as Ban[], ...found.pageInfo }
}

const reportMessageText = operation(`mutation ReportMessage($messageId: ID!, $reason: String!) {
  reportMessage(messageId: $messageId, reason: $reason)
}`)
const reportUserText = operation(`mutation ReportUser($userId: ID!, $reason: String!) {
  reportUser(userId: $userId, reason: $reason)
}`)
const reportFields = `id reporter { username } subject { username } channelId channel { id } messageId reason content
  attachments { id filename } createdAt status resolvedBy { username } resolvedAt note`
const reportsText = operation(`query Reports($channelId: ID, $status: ReportStatus, $first: Int, $after: String) {
  reports(channelId: $channelId, status: $status, first: $first, after: $after) {
    edges { cursor node { ${reportFields} } } pageInfo { hasNextPage endCursor }
  }
}`)
const resolveText = operation(`mutation Resolve($id: ID!, $resolution: ReportResolution!, $note: String) {
  resolveReport(id: $id, resolution: $resolution, note: $note) { ${reportFields} }
}`)
const deleteReportedText = operation(`mutation DeleteReported($id: ID!, $reason: String) {
  deleteReportedMessage(id: $id, reason: $reason) { ${reportFields} }
}`)

export type Report = {
  id: string
  reporter: { username: string }
  subject: { username: string }
  channelId: string | null
  channel: { id: string } | null
  messageId: string | null
  reason: string
  content: string | null
  attachments: { id: string; filename: string }[]
  createdAt: string
  status: 'OPEN' | 'DISMISSED' | 'ACTION_TAKEN'
  resolvedBy: { username: string } | null
  resolvedAt: string | null
  note: string | null
}

export const reportMessage = async (person: Person, messageId: string, reason = 'rude'): Promise<boolean> =>
  (await person.client.request(reportMessageText, { messageId, reason })).reportMessage
export const reportUser = async (person: Person, other: Other, reason = 'rude'): Promise<boolean> =>
  (await person.client.request(reportUserText, { userId: other.id, reason })).reportUser

/** A page of reports: of a channel, or of everything where none is named. */
export async function reportsOf(
  person: Person,
  channelId: string | null,
  more: Page & { status?: Report['status'] } = {},
): Promise<Report[]> {
  const { reports } = await person.client.request(reportsText, { channelId, ...more })
  return reports.edges.map((edge: { node: Report }) => edge.node)
}

export const resolveReport = async (
  person: Person,
  id: string,
  resolution: 'DISMISSED' | 'ACTION_TAKEN' = 'ACTION_TAKEN',
  note: string | null = null,
): Promise<Report> => (await person.client.request(resolveText, { id, resolution, note })).resolveReport

export const deleteReported = async (person: Person, id: string, reason: string | null = null): Promise<Report> =>
  (await person.client.request(deleteReportedText, { id, reason })).deleteReportedMessage

const auditLogText = operation(`query AuditLog($channelId: ID, $first: Int, $after: String) {
  auditLog(channelId: $channelId, first: $first, after: $after) {
    edges { cursor node {
      channelId at action actor { username } subject { username } messageId reportId reason content until roleBefore
      role seconds resolution hash
    } }
    pageInfo { hasNextPage endCursor }
  }
}`)

export type AuditEntry = {
  channelId: string | null
  at: string
  action: string
  actor: { username: string } | null
  subject: { username: string } | null
  messageId: string | null
  reportId: string | null
  reason: string | null
  content: string | null
  until: string | null
  roleBefore: string | null
  role: string | null
  seconds: number | null
  resolution: string | null
  hash: string
}

export async function auditLogPage(person: Person, channelId: string | null, page: Page = {}) {
  const { auditLog } = await person.client.request(auditLogText, { channelId, ...page })
  return { entries: auditLog.edges.map((edge: { node: AuditEntry }) => edge.node) as AuditEntry[], ...auditLog.pageInfo }
}

export const auditLogOf = async (person: Person, channelId: string | null): Promise<AuditEntry[]> =>
  (await auditLogPage(person, channelId, { first: 100 })).entries

/** What stands in an entry beside when it was made and its hash. */
export const toldBy = (entry: AuditEntry) =>
  Object.fromEntries(Object.entries(entry).filter(([name, value]) => value !== null && name !== 'at' && name !== 'hash'))

/** Makes somebody a moderator of the deployment, as the operator does. */
export async function makeModerator({ app }: TestApp, person: Person): Promise<void> {
  const { userId } = parseGlobalId(person.id) as { userId: string }
  await app.database.run('update users set moderator = true where id = $1', [userId])
}

/** A store of its own with the cast, and mia, who keeps order in the whole deployment and is in no channel. */
export async function startModeratedApp() {
  const app = await startTestApp()
  const names = ['alice', 'bob', 'carol', 'mia'].map((name) => app.signUp(name))
  const [alice, bob, carol, mia] = (await Promise.all(names)) as [Person, Person, Person, Person]
  await makeModerator(app, mia)
  return { app, alice, bob, carol, mia }
}
