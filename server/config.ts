import { needs, settings } from './config-settings.ts'
import { noRules, type Rules } from './rate-limits/kinds.ts'
import {
  describeFaults,
  describeSettings,
  type Environment,
  type Fault,
  misspeltSettings,
  readSettings,
  type ValuesOf,
} from './lib/settings.ts'

/** What the process was told, checked and frozen. */
export type Config = ReturnType<typeof arrange>

/** The environment asks for something that cannot be. The message lists every fault with its remedy. */
export class ConfigError extends Error {
  readonly faults: readonly Fault[]

  constructor(faults: readonly Fault[]) {
    super(describeFaults(faults))
    this.name = 'ConfigError'
    this.faults = faults
  }
}

/**
 * Reads all settings from an environment, usually `process.env`.
 *
 * @throws ConfigError with all faults at once.
 */
export function readConfig(env: Environment): Config {
  const { values, faults } = readSettings(settings, needs, env)
  if (faults.length > 0) throw new ConfigError(faults)
  return arrange(values)
}

/** A warning for each variable that is probably a setting with a slip in its name. */
export function configWarnings(env: Environment): string[] {
  return misspeltSettings(settings, env).map(({ found, meant }) => `${found} is no setting; was ${meant} meant?`)
}

/** The settings as a table in Markdown, as the README shows it. */
export const settingsTable = (): string => describeSettings(settings)

/** The values by who uses them. Settings that go together are one object, or null together. */
function arrange(values: ValuesOf<typeof settings>) {
  return Object.freeze({
    http: Object.freeze({
      port: values.PORT,
      host: values.HOST,
      /** Null where workers open none. */
      workerPort: values.WORKER_PORT,
      /** Without a slash at its end; null means `http://localhost:` and the port that is listened on. */
      publicUrl: values.PUBLIC_URL,
      /** Where clients reach this very replica; null where that is by the public address alone. */
      replicaUrl: values.REPLICA_URL,
      /** Null where short links open nothing. */
      appUrl: values.APP_URL,
      /** Apps that open short links by themselves. */
      apps: Object.freeze({ ios: values.APP_IOS_IDS ?? [], android: values.APP_ANDROID_IDS ?? [] }),
      corsOrigins: Object.freeze(values.CORS_ORIGINS ?? []),
      /** Null where nobody is believed. */
      trustProxy: values.TRUST_PROXY,
      maxRequestBytes: values.MAX_REQUEST_BYTES,
      maxSocketsPerUser: values.MAX_SOCKETS_PER_USER,
      maxSubscriptionsPerUser: values.MAX_SUBSCRIPTIONS_PER_USER,
      drainSeconds: values.DRAIN_SECONDS,
    }),
    /** Absolute. */
    dataDir: values.DATA_DIR,
    database: Object.freeze({
      /** Null for the embedded one. */
      url: values.DATABASE_URL,
      /** Null where there is none. */
      replicaUrl: values.DATABASE_REPLICA_URL,
      poolSize: values.DATABASE_POOL_SIZE,
    }),
    /** Null for the bus inside the process. */
    redisUrl: values.REDIS_URL,
    /** Null for files in `dataDir`. */
    s3: together({
      endpoint: values.S3_ENDPOINT,
      region: values.S3_REGION,
      bucket: values.S3_BUCKET,
      accessKeyId: values.S3_ACCESS_KEY_ID,
      secretAccessKey: values.S3_SECRET_ACCESS_KEY,
    }),
    auth: Object.freeze({
      /** Null only with the embedded database: see `loadSecrets`. */
      jwtSecret: values.JWT_SECRET,
      accessTokenMinutes: values.ACCESS_TOKEN_MINUTES,
      refreshTokenDays: values.REFRESH_TOKEN_DAYS,
      /** The deployment's own identity provider; null where there is none. */
      provider: together({ jwksUrl: values.AUTH_JWKS_URL, issuer: values.AUTH_ISSUER }),
      /** Null for any; only asked of the provider's tokens. */
      providerAudience: values.AUTH_AUDIENCE,
    }),
    maintenance: Object.freeze({
      /** Null for good. */
      retentionDays: values.MESSAGE_RETENTION_DAYS,
      /** Null for never. */
      compactAfterMonths: values.COMPACT_AFTER_MONTHS === 0 ? null : values.COMPACT_AFTER_MONTHS,
    }),
    rateLimits: Object.freeze({
      rules: values.RATE_LIMITS
        ? Object.freeze({
            SEND: values.RATE_LIMIT_SEND,
            SEARCH: values.RATE_LIMIT_SEARCH,
            UPLOAD: values.RATE_LIMIT_UPLOAD,
            CREATE: values.RATE_LIMIT_CREATE,
            OTHER: values.RATE_LIMIT_OTHER,
            SIGN_UP: values.RATE_LIMIT_SIGN_UP,
            SIGN_IN: values.RATE_LIMIT_SIGN_IN,
            SIGN_IN_FAILURE: values.RATE_LIMIT_SIGN_IN_FAILURE,
            LINK: values.RATE_LIMIT_LINK,
            CONNECT: values.RATE_LIMIT_CONNECT,
            CONNECT_USER: values.RATE_LIMIT_CONNECT_USER,
          } satisfies Rules)
        : noRules,
    }),
    limits: Object.freeze({
      groupMaxMembers: values.GROUP_MAX_MEMBERS,
      /** Members up to which a channel is written into feeds. */
      feedMembers: values.FEED_WRITTEN_MEMBERS,
    }),
    searchSampleShare: values.SEARCH_SAMPLE_SHARE,
    uploads: Object.freeze({ maxBytes: values.UPLOAD_MAX_BYTES, types: Object.freeze(list(values.UPLOAD_TYPES)) }),
    contentFilter: Object.freeze({
      /** Null where every word may be said. */
      blockedWordsFile: values.BLOCKED_WORDS_FILE,
      /** Null where nobody is asked. */
      hook: together({ url: values.CONTENT_HOOK_URL, secret: values.CONTENT_HOOK_SECRET }),
      hookTimeoutMs: values.CONTENT_HOOK_TIMEOUT_MS,
      hookFails: values.CONTENT_HOOK_FAILS,
    }),
    linkPreviews: values.LINK_PREVIEWS,
    outboundAllow: Object.freeze(list(values.OUTBOUND_ALLOW ?? '')),
    push: Object.freeze({
      apns: together({
        keyFile: values.APNS_KEY_FILE,
        keyId: values.APNS_KEY_ID,
        teamId: values.APNS_TEAM_ID,
        topics: values.APNS_TOPIC === null ? null : list(values.APNS_TOPIC),
      }),
      apnsUrl: values.APNS_URL,
      fcmServiceAccountFile: values.FCM_SERVICE_ACCOUNT_FILE,
      fcmDataOnly: values.FCM_DATA_ONLY,
      fcmUrl: values.FCM_URL,
      /** Null for what is derived from the JWT secret. */
      vapid: together({ publicKey: values.VAPID_PUBLIC_KEY, privateKey: values.VAPID_PRIVATE_KEY }),
      vapidSubject: values.VAPID_SUBJECT,
      webhook: together({ url: values.PUSH_WEBHOOK_URL, secret: values.PUSH_WEBHOOK_SECRET }),
      perMinute: values.PUSH_PER_MINUTE,
      logDays: values.PUSH_LOG_DAYS,
    }),
    /** Null where there is no mail. */
    mail: together({ url: values.SMTP_URL, from: values.MAIL_FROM }),
    mailAwayHours: values.MAIL_AWAY_HOURS,
    log: Object.freeze({ level: values.LOG_LEVEL, format: values.LOG_FORMAT }),
    metrics: values.METRICS,
    tracing: Object.freeze({
      /** Null where nothing is traced. */
      endpoint: values.OTEL_EXPORTER_OTLP_ENDPOINT,
      share: values.OTEL_TRACES_SAMPLER_ARG,
      serviceName: values.OTEL_SERVICE_NAME,
    }),
  })
}

type Given<Parts> = Readonly<{ [Part in keyof Parts]: NonNullable<Parts[Part]> }>

/** Parts that are all there or count as absent together. */
function together<Parts extends Record<string, unknown>>(parts: Parts): Given<Parts> | null {
  return Object.values(parts).includes(null) ? null : (Object.freeze(parts) as Given<Parts>)
}

/** What stands between commas. */
const list = (text: string): string[] => text.split(',').map((each) => each.trim()).filter((each) => each !== '')
