import {
  androidApps,
  appAddress,
  exactWebAddress,
  flag,
  folder,
  hostList,
  iosApps,
  listenAddress,
  oneOf,
  originList,
  serviceUrl,
  share,
  text,
  webAddress,
  wholeNumber,
} from './lib/env-values.ts'
import { redisUrl } from './lib/redis-url.ts'
import { trustedProxies } from './lib/trusted-proxies.ts'
import { rateLimit } from './rate-limits/kinds.ts'
import { type Need, optional, withDefault } from './lib/settings.ts'

/**
 * Every setting there is. This table is what is checked at the start and what the README shows; nothing else in the
 * project reads the environment. `null` means off, or that the engine inside the process is used.
 */
export const settings = {
  PORT: withDefault('4000', 'Port for HTTP and WebSocket; 0 takes a free one.', wholeNumber(0, 65_535)),
  // Anyone who reaches the port may sign up, so a laptop in a café must not offer it to the room. A container has a
  // network of its own, and its image sets HOST.
  HOST: withDefault(
    '127.0.0.1',
    'Address to listen on. Only this machine reaches the default; `::` or `0.0.0.0` lets others in, as in a container.',
    listenAddress(),
    { example: '::' },
  ),
  WORKER_PORT: optional(
    'workers open no port',
    'Port for `/metrics` and `/health/live` of workers that run in a process of their own; on `HOST`.',
    wholeNumber(0, 65_535),
    { example: '4001' },
  ),
  PUBLIC_URL: optional(
    '`http://localhost:PORT`',
    'Where clients reach the server, such as through a proxy.',
    webAddress(),
    { example: 'https://chat.example.org' },
  ),
  REPLICA_URL: optional(
    'sockets are opened at `PUBLIC_URL`',
    'Where clients reach this very replica, past the load balancer: other than `PUBLIC_URL` for each. `endpoint` spreads ' +
      'sockets over replicas by it.',
    webAddress(),
    { example: 'https://maru-0.chat.example.org' },
  ),
  APP_URL: optional(
    'short links show a page and open nothing',
    'Where your app is opened from short links: `?invite=CODE`, `?channel=ID&message=ID` or `?link=CODE` is added.',
    appAddress(),
    { example: 'https://app.example.org/' },
  ),
  APP_IOS_IDS: optional(
    'short links open in the browser',
    'iOS apps that open short links by themselves, as team and bundle, with commas between them.',
    iosApps(),
    { example: 'ABCDE12345.org.example.chat' },
  ),
  APP_ANDROID_IDS: optional(
    'short links open in the browser',
    'Android apps that do, as package and SHA-256 of the certificate that signs it, with commas between them.',
    androidApps(),
    { example: 'org.example.chat=14:6D:E9:…' },
  ),
  CORS_ORIGINS: optional(
    'only pages of `PUBLIC_URL`',
    'Origins of other web apps that may call the API and open sockets, with commas between them.',
    originList(),
    { example: 'https://app.example.org,https://admin.example.org' },
  ),
  TRUST_PROXY: optional(
    'nobody is believed',
    'Proxies and load balancers in front, which say in `X-Forwarded-For` where a request came from: how many there are, ' +
      'one behind the other, or their addresses and networks with commas between them. Without it all clients behind a ' +
      'proxy count as one address in rate limits.',
    trustedProxies(),
    { example: '1' },
  ),
  DATA_DIR: withDefault(
    './data',
    'Folder for what the process keeps itself: the embedded database, files and secrets.',
    folder(),
  ),
  DATABASE_URL: optional(
    'embedded Postgres in `DATA_DIR`',
    'Postgres 15 or newer. The owner of the database is enough; no superuser is needed.',
    serviceUrl('postgres', 'postgresql'),
    { example: 'postgres://maru:…@db.example.org:5432/maru', secret: true },
  ),
  DATABASE_REPLICA_URL: optional(
    'everything on the primary',
    'A read replica of `DATABASE_URL`. History is read there, wherever it is up to date.',
    serviceUrl('postgres', 'postgresql'),
    { example: 'postgres://maru:…@db-replica.example.org:5432/maru', secret: true },
  ),
  // At least two: a transaction holds a connection of its own, and statements beside it need another.
  DATABASE_POOL_SIZE: withDefault(
    '10',
    'Connections of each process to the database; jobs take up to three more, and the workers up to six.',
    wholeNumber(2, 1_000),
  ),
  REDIS_URL: optional(
    'everything in the one process',
    'Redis 6 or newer, or a Redis Cluster 7 or newer, which several replicas need to hear of each other. Of a cluster ' +
      'one address will do; with commas between them more may be given, for when a node is away.',
    redisUrl(),
    { example: 'redis://redis.example.org:6379', secret: true },
  ),
  S3_ENDPOINT: optional(
    '–',
    'Address of an S3 service for files; all five `S3_` settings go together. Without, files are in `DATA_DIR` and the server hands them out.',
    webAddress(),
    { example: 'https://s3.eu-central-1.amazonaws.com' },
  ),
  S3_REGION: optional('–', 'Region of the bucket.', text(), { example: 'eu-central-1' }),
  S3_BUCKET: optional('–', 'Bucket for files; it must exist.', text(), { example: 'maru-files' }),
  S3_ACCESS_KEY_ID: optional('–', 'Key that may read and write the bucket.', text(), {
    example: 'AKIA…',
    secret: true,
  }),
  S3_SECRET_ACCESS_KEY: optional('–', 'The secret of that key.', text(), { example: '…', secret: true }),
  UPLOAD_MAX_BYTES: withDefault('104857600', 'Largest file that people may attach.', wholeNumber(1, 2_147_483_647)),
  UPLOAD_TYPES: withDefault(
    'image/*,video/*,audio/*,text/plain,text/csv,application/pdf,application/zip,application/gzip,application/json,' +
      'application/msword,application/vnd.ms-excel,application/vnd.ms-powerpoint,application/vnd.oasis.opendocument.*,' +
      'application/vnd.openxmlformats-officedocument.*,application/x-hwp,application/vnd.hancom.*',
    'Types of files that people may attach, with commas between them; `*` stands for anything. What a file holds must be ' +
      'what it says it is. SVG and HTML are never shown, only downloaded.',
    text(),
  ),
  LINK_PREVIEWS: withDefault('on', 'Whether links in messages are opened and shown with title and picture.', flag()),
  OUTBOUND_ALLOW: optional(
    'public addresses on ports 80 and 443',
    'Hosts that link previews and Web Push may reach although they are private or on another port, as `host` or ' +
      '`host:port`, with commas between them; a host alone means all of its ports.',
    hostList(),
    { example: 'wiki.internal,git.internal:8443' },
  ),
  APNS_KEY_FILE: optional('no pushes to iOS', 'The `.p8` key from Apple; `APNS_KEY_ID`, `APNS_TEAM_ID` and `APNS_TOPIC` go with it.', text(), {
    example: '/run/secrets/apns.p8',
  }),
  APNS_KEY_ID: optional('–', 'The id of that key.', text(), { example: 'ABC123DEFG' }),
  APNS_TEAM_ID: optional('–', 'The team that it belongs to.', text(), { example: 'DEF123GHIJ' }),
  APNS_TOPIC: optional('–', 'Bundle id of the app; with commas, of several, the first of which is meant where a device does not say.', text(), {
    example: 'org.example.chat',
  }),
  APNS_URL: optional('Apple’s', 'Where APNs is reached, if not at Apple’s; for tests and relays.', webAddress(), {
    example: 'https://api.push.apple.com',
  }),
  FCM_SERVICE_ACCOUNT_FILE: optional('no pushes to Android', 'Service account from Google, as JSON.', text(), {
    example: '/run/secrets/fcm.json',
  }),
  FCM_DATA_ONLY: withDefault(
    'off',
    'Whether the Android app makes its notices itself. Of those that Google shows, a device that was off gets only the last few.',
    flag(),
  ),
  FCM_URL: optional('Google’s', 'Where FCM is reached, if not at Google’s; for tests and relays.', webAddress(), {
    example: 'https://fcm.googleapis.com',
  }),
  VAPID_PUBLIC_KEY: optional(
    'derived from `JWT_SECRET`',
    'Public key by which browsers know this server, in base64url. Give a pair where `JWT_SECRET` may change: browsers would have to subscribe anew.',
    text(),
    { example: 'BNc…' },
  ),
  VAPID_PRIVATE_KEY: optional('–', 'The private key of it. `npx web-push generate-vapid-keys` makes a pair.', text(), {
    example: '…',
    secret: true,
  }),
  VAPID_SUBJECT: optional('`PUBLIC_URL`', 'Whom a push service may write to: an https address or `mailto:`.', text(), {
    example: 'mailto:admin@example.org',
  }),
  PUSH_WEBHOOK_URL: optional('none', 'Where pushes to `WEBHOOK` devices are posted: an SMS gateway, or anything else.', exactWebAddress(), {
    example: 'https://sms.example.org/maru',
  }),
  PUSH_WEBHOOK_SECRET: optional('–', 'Signs what is posted there; at least 24 characters.', text(24), {
    example: '"whsec_$(openssl rand -base64 32)"',
    secret: true,
  }),
  BLOCKED_WORDS_FILE: optional(
    'every word may be said',
    'Words that nobody may use in messages, names, topics and status texts, one a line; `#` begins a comment. Read at ' +
      'the start.',
    text(),
    { example: '/etc/maru/blocked-words.txt' },
  ),
  CONTENT_HOOK_URL: optional(
    'nobody is asked',
    'A service of yours that is asked about each message, name, topic and status text before it is stored.',
    exactWebAddress(),
    { example: 'https://filter.example.org/maru' },
  ),
  CONTENT_HOOK_SECRET: optional('–', 'Signs what is asked there; at least 24 characters.', text(24), {
    example: '"whsec_$(openssl rand -base64 32)"',
    secret: true,
  }),
  // People wait for it with each message.
  CONTENT_HOOK_TIMEOUT_MS: withDefault('500', 'Milliseconds within which it has to answer.', wholeNumber(50, 1_000)),
  CONTENT_HOOK_FAILS: withDefault(
    'open',
    'What counts where it does not answer: `open` lets everything through, `closed` nothing.',
    oneOf('open', 'closed'),
  ),
  PUSH_PER_MINUTE: withDefault(
    '20',
    'Pushes to one device within a minute; what comes beyond becomes one summary.',
    wholeNumber(1, 10_000),
  ),
  PUSH_LOG_DAYS: withDefault('14', 'Days for which it is kept what became of each push.', wholeNumber(1, 365)),
  SMTP_URL: optional('no mail', 'Mail server for those who have been away for long.', serviceUrl('smtp', 'smtps'), {
    example: 'smtps://user:…@mail.example.org',
    secret: true,
  }),
  MAIL_FROM: optional('–', 'Sender of these mails.', text(), { example: '"Maru <chat@example.org>"' }),
  MAIL_AWAY_HOURS: withDefault('12', 'Hours after which somebody counts as away for long.', wholeNumber(1, 8_760)),
  // RFC 7518 wants the key of HS256 to be no shorter than its hash, which is 32 bytes.
  JWT_SECRET: optional(
    'made once and kept in `DATA_DIR`',
    'Signs access tokens; at least 32 characters, the same on every replica. Must be given with `DATABASE_URL`.',
    text(32),
    { example: '"$(openssl rand -base64 48)"', secret: true },
  ),
  ACCESS_TOKEN_MINUTES: withDefault('15', 'How long an access token is good.', wholeNumber(1, 1_440)),
  REFRESH_TOKEN_DAYS: withDefault('60', 'How long a device stays signed in without being used.', wholeNumber(1, 3_650)),
  AUTH_JWKS_URL: optional(
    'own accounts only',
    'Key set of your own identity provider. Its users appear when they are first seen.',
    exactWebAddress(),
    { example: 'https://id.example.org/.well-known/jwks.json', secret: true },
  ),
  AUTH_ISSUER: optional('–', "The `iss` of that provider's tokens, to the letter.", text(), {
    example: 'https://id.example.org',
  }),
  AUTH_AUDIENCE: optional('any', "The `aud` that the provider's tokens must name.", text(), { example: 'maru' }),
  // A hundred years are for good.
  MESSAGE_RETENTION_DAYS: optional(
    'messages are kept for good',
    'Days for which messages are kept. They go by whole months; a channel may have a retention of its own.',
    wholeNumber(1, 36_500),
    { example: '365' },
  ),
  COMPACT_AFTER_MONTHS: withDefault(
    '3',
    'After so many months the messages of a month are written anew, into less room; 0 for never.',
    wholeNumber(0, 1_200),
  ),
  // Writing a message out took 3.8 to 6 µs of processor for each member, and a channel that is merged added 17 to 25 µs to
  // each page. So a channel is better merged once more than four or five messages are said in it for each page that one
  // of its members reads: with five pages a day, beyond some 25 messages a day, which is a channel of about 200 where
  // everybody says something once a week. It is also what one message writes at the most: a millisecond of the store.
  // `npm run bench -- feed` measures both.
  FEED_WRITTEN_MEMBERS: withDefault(
    '200',
    'Members up to which a channel is written into the feed of each of them; larger ones are merged when a feed is read.',
    wholeNumber(0, 10_000),
  ),
  // Each person, day and term is one small row, so that all of them is no burden; 0 is for who wants nothing kept.
  SEARCH_SAMPLE_SHARE: withDefault(
    '1',
    'Share of searches, from 0 to 1, whose words are counted for suggesting search terms; 0 for none. What fewer than ' +
      'five people search for is never suggested.',
    share(),
  ),
  GROUP_MAX_MEMBERS: withDefault('100', 'Members of a GROUP channel.', wholeNumber(2, 10_000)),
  RATE_LIMITS: withDefault(
    'on',
    'Whether it is limited how much one user or one address may do. Each limit is `points/seconds`, `points/seconds/burst` ' +
      'or `off`: `300/60/60` is 300 a minute, and at most 60 at once.',
    flag(),
  ),
  // A person types one in a second at most; a bot that answers several rooms, and a client that sends what it has kept
  // while it was offline, come in bursts.
  RATE_LIMIT_SEND: withDefault('300/60/60', 'Messages, edits, deletions, reactions and pins of one user.', rateLimit()),
  // As-you-type asks some four times a second, for some seconds.
  RATE_LIMIT_SEARCH: withDefault('240/60/60', 'Searches and suggestions of one user.', rateLimit()),
  // A holiday's pictures at once.
  RATE_LIMIT_UPLOAD: withDefault('120/60/100', 'Files of one user.', rateLimit()),
  RATE_LIMIT_CREATE: withDefault(
    '120/60/60',
    'Channels, invites, members, reports and the like that one user makes or changes.',
    rateLimit(),
  ),
  // A client that comes back asks for as many subscriptions as a user may have, perhaps from several devices.
  RATE_LIMIT_OTHER: withDefault(
    '1200/60/600',
    'All other queries, mutations and subscriptions of one user, and of one address where nobody is signed in.',
    rateLimit(),
  ),
  // A class in school, behind one address.
  RATE_LIMIT_SIGN_UP: withDefault('60/3600/40', 'Accounts made from one address.', rateLimit()),
  RATE_LIMIT_SIGN_IN: withDefault('120/60/60', 'Attempts to sign in from one address.', rateLimit()),
  // Some 250 on the first day, and 240 on each that follows: the thousand commonest passwords take four days.
  RATE_LIMIT_SIGN_IN_FAILURE: withDefault(
    '10/3600/10',
    'Wrong passwords for one name from one address. Nobody is locked out elsewhere by it.',
    rateLimit(),
  ),
  RATE_LIMIT_LINK: withDefault('120/60/60', 'Looks at invites and short links from one address, or by one user.', rateLimit()),
  // An office that comes back after a restart, behind one address.
  RATE_LIMIT_CONNECT: withDefault('1200/60/600', 'New sockets from one address.', rateLimit()),
  RATE_LIMIT_CONNECT_USER: withDefault('120/60/60', 'New sockets of one user.', rateLimit()),
  // The longest message is 100,000 code points, each of up to 12 bytes where a client escapes it: "\ud83d\ude00".
  MAX_REQUEST_BYTES: withDefault(
    '2097152',
    'Largest HTTP body and WebSocket frame that is read.',
    wholeNumber(16_384, 67_108_864),
  ),
  // Twenty devices and tabs, each with fifty conversations open.
  MAX_SOCKETS_PER_USER: withDefault(
    '20',
    'Open sockets of one user on a replica; in effect of one user, where clients ask `endpoint`, which sends all of them ' +
      'to one.',
    wholeNumber(1, 1_000_000),
  ),
  MAX_SUBSCRIPTIONS_PER_USER: withDefault(
    '200',
    'Live subscriptions of one user on a replica, over all sockets.',
    wholeNumber(1, 1_000_000),
  ),
  // `docker stop` kills after 10 seconds, Kubernetes after 30.
  DRAIN_SECONDS: withDefault('8', 'After SIGTERM, how long to wait for what is under way.', wholeNumber(0, 600)),
  LOG_LEVEL: withDefault(
    'info',
    'Least level that is logged: trace, debug, info, warn, error, fatal or silent.',
    oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
  ),
  LOG_FORMAT: withDefault(
    'auto',
    '`json` for one JSON object a line, `pretty` for people; `auto` is pretty on a terminal.',
    oneOf('auto', 'json', 'pretty'),
  ),
  METRICS: withDefault('on', 'Whether `/metrics` answers in the format of Prometheus.', flag()),
  OTEL_EXPORTER_OTLP_ENDPOINT: optional(
    'no traces',
    'OpenTelemetry collector for traces, by OTLP over HTTP; `/v1/traces` is added. ' +
      '`OTEL_EXPORTER_OTLP_HEADERS` is read too, by OpenTelemetry itself.',
    webAddress(),
    { example: 'http://localhost:4318', secret: true },
  ),
  OTEL_TRACES_SAMPLER_ARG: withDefault('1', 'Share of operations that are traced, from 0 to 1.', share()),
  OTEL_SERVICE_NAME: withDefault('maru', 'Name of this service in traces.', text()),
}

const s3 = ['S3_ENDPOINT', 'S3_REGION', 'S3_BUCKET', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY'] as const

const apns = ['APNS_KEY_FILE', 'APNS_KEY_ID', 'APNS_TEAM_ID', 'APNS_TOPIC'] as const

/** Settings that make no sense without each other. */
export const needs: readonly Need<keyof typeof settings>[] = [
  { given: s3, needed: s3, because: 'a bucket is reached with all five S3_ settings or not at all' },
  { given: apns, needed: apns, because: 'Apple is reached with key, id, team and topic or not at all' },
  {
    given: ['VAPID_PUBLIC_KEY', 'VAPID_PRIVATE_KEY'],
    needed: ['VAPID_PUBLIC_KEY', 'VAPID_PRIVATE_KEY'],
    because: 'the two are a pair',
  },
  {
    given: ['PUSH_WEBHOOK_URL', 'PUSH_WEBHOOK_SECRET'],
    needed: ['PUSH_WEBHOOK_URL', 'PUSH_WEBHOOK_SECRET'],
    because: 'what is posted is signed',
  },
  {
    given: ['CONTENT_HOOK_URL', 'CONTENT_HOOK_SECRET'],
    needed: ['CONTENT_HOOK_URL', 'CONTENT_HOOK_SECRET'],
    because: 'what is asked is signed',
  },
  { given: ['SMTP_URL', 'MAIL_FROM'], needed: ['SMTP_URL', 'MAIL_FROM'], because: 'a mail has a sender' },
  {
    given: ['AUTH_JWKS_URL', 'AUTH_ISSUER', 'AUTH_AUDIENCE'],
    needed: ['AUTH_JWKS_URL', 'AUTH_ISSUER'],
    because: 'tokens of another issuer are checked against its key set and its name',
  },
  {
    given: ['DATABASE_REPLICA_URL'],
    needed: ['DATABASE_URL'],
    because: 'the embedded database has no replicas',
  },
  {
    given: ['DATABASE_URL'],
    needed: ['JWT_SECRET'],
    because: 'every replica on a database must sign and check tokens with the same secret',
  },
]
