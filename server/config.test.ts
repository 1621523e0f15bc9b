import { expect, test } from 'vitest'
import { ConfigError, configWarnings, readConfig, settingsTable } from './config.ts'
import { settings } from './config-settings.ts'

const secret = 'correct horse battery staple, twice over'

function faultsOf(env: Record<string, string>): readonly { name: string; problem: string; remedy: string }[] {
  try {
    readConfig(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.faults
    throw error
  }
  return []
}

const namesAtFault = (env: Record<string, string>) => faultsOf(env).map(({ name }) => name)

test('nothing has to be set', () => {
  const config = readConfig({})
  expect(config.http).toMatchObject({ port: 4000, host: '127.0.0.1', publicUrl: null, corsOrigins: [] })
  expect(config.dataDir).toBe(`${process.cwd()}/data`)
  expect(config.database.url).toBeNull()
  expect(config).toMatchObject({ redisUrl: null, s3: null, metrics: true, tracing: { endpoint: null } })
  expect(config.auth).toMatchObject({ jwtSecret: null, provider: null, accessTokenMinutes: 15, refreshTokenDays: 60 })
  expect(config.limits).toEqual({ groupMaxMembers: 100, feedMembers: 200 })
})

test('limits are read in points, seconds and what may come at once, and all that are at fault are named', () => {
  const { rules } = readConfig({ RATE_LIMIT_SEND: '300/60/50', RATE_LIMIT_LINK: '10/5', RATE_LIMIT_SEARCH: 'Off' }).rateLimits
  expect(rules.SEND).toEqual({ capacity: 50, fillMs: 10_000 })
  expect(rules.LINK).toEqual({ capacity: 10, fillMs: 5_000 })
  expect(rules.SEARCH).toBeNull()
  expect(rules.SIGN_IN).not.toBeNull()
  expect(new Set(Object.values(readConfig({ RATE_LIMITS: 'off' }).rateLimits.rules))).toEqual(new Set([null]))
  const odd = ['0/60', '60/0', '60', '60/60/0', '60/60/61', '300/60/4', '1e3/60', '60/60/60/60', '-1/60', '9999999/60', '60/99999', 'none']
  for (const text of odd) expect(namesAtFault({ RATE_LIMIT_SEND: text }), text).toEqual(['RATE_LIMIT_SEND'])
  expect(namesAtFault({ RATE_LIMIT_OTHER: '1', TRUST_PROXY: 'nginx', RATE_LIMITS: 'perhaps' })).toEqual(['TRUST_PROXY', 'RATE_LIMITS', 'RATE_LIMIT_OTHER'])
  expect(readConfig({}).http.trustProxy).toBeNull()
  expect(readConfig({ TRUST_PROXY: '2' }).http.trustProxy).toBe(2)
})

test('a whole environment is read', () => {
  const config = readConfig({
    PORT: ' 8080 ',
    HOST: '::',
    PUBLIC_URL: 'https://chat.example.org/',
    CORS_ORIGINS: 'https://App.example.org/, capacitor://localhost,',
    DATABASE_URL: 'postgres://maru:pw@one:5432,two:5432/maru',
    JWT_SECRET: secret,
    REDIS_URL: 'rediss://redis:6379',
    S3_ENDPOINT: 'http://localhost:9000',
    S3_REGION: 'eu-central-1',
    S3_BUCKET: 'files',
    S3_ACCESS_KEY_ID: 'key',
    S3_SECRET_ACCESS_KEY: 'hush',
    AUTH_JWKS_URL: 'https://id.example.org/jwks?tenant=1',
    AUTH_ISSUER: 'https://id.example.org/',
    METRICS: 'off',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://localhost:4318/',
  })
  expect(config.http).toMatchObject({
    port: 8080,
    host: '::',
    publicUrl: 'https://chat.example.org',
    corsOrigins: ['https://app.example.org', 'capacitor://localhost'],
  })
  expect(config.database.url).toBe('postgres://maru:pw@one:5432,two:5432/maru')
  expect(config.s3).toEqual({
    endpoint: 'http://localhost:9000',
    region: 'eu-central-1',
    bucket: 'files',
    accessKeyId: 'key',
    secretAccessKey: 'hush',
  })
  // The issuer keeps its slash: it is compared with the token's byte by byte.
  expect(config.auth.provider).toEqual({
    jwksUrl: 'https://id.example.org/jwks?tenant=1',
    issuer: 'https://id.example.org/',
  })
  expect(config.metrics).toBe(false)
  expect(config.tracing.endpoint).toBe('http://localhost:4318')
})

test('a Redis Cluster may be named by several of its nodes', () => {
  const redisUrl = 'rediss://maru:pw@one:6379,two:6380, rediss://three'
  expect(readConfig({ REDIS_URL: redisUrl }).redisUrl).toBe(redisUrl)
})

test('an empty variable counts as not set', () => {
  expect(readConfig({ PORT: '', DATABASE_URL: '', S3_BUCKET: ' ' })).toEqual(readConfig({}))
})

test('the result cannot be changed', () => {
  const config = readConfig({})
  for (const part of [config, ...Object.values(config)]) expect(Object.isFrozen(part)).toBe(true)
  expect(Object.isFrozen(config.http.corsOrigins)).toBe(true)
})

test('all faults are reported at once, each with its remedy', () => {
  const env = { PORT: 'http', METRICS: 'maybe', LOG_LEVEL: 'loud', CORS_ORIGINS: '*', DATABASE_URL: 'mysql://db/maru' }
  expect(() => readConfig(env)).toThrow(ConfigError)
  expect(namesAtFault(env)).toEqual(['PORT', 'CORS_ORIGINS', 'DATABASE_URL', 'LOG_LEVEL', 'METRICS', 'JWT_SECRET'])
  for (const { name, remedy } of faultsOf(env)) expect(remedy).toContain(`${name}=`)
})

test('the message is made to be read', () => {
  expect(() => readConfig({ PORT: '70000', HOST: 'localhost:4000' })).toThrow(
    [
      'Maru cannot start: 2 settings are at fault.',
      '',
      '  PORT must be a whole number from 0 to 65535; it is "70000".',
      '    → Set it as in PORT=4000, or leave it out (`4000`).',
      '',
      '  HOST must be an IP address or a host name, without a port; it is "localhost:4000".',
      '    → Set it as in HOST=::, or leave it out (`127.0.0.1`).',
    ].join('\n'),
  )
})

test.each([
  ['PORT', ['-1', '65536', '4000.5', '0x10', '4e3', 'NaN']],
  ['HOST', ['http://localhost', 'a b', '-', '1.2.3.4:80']],
  ['PUBLIC_URL', ['chat.example.org', 'ftp://example.org', 'https://', 'https://example.org?a=1', 'https://e.org#a']],
  ['CORS_ORIGINS', ['*', 'https://*.example.org', 'https://example.org/app', 'example.org', 'https://a@example.org']],
  ['REDIS_URL', ['redis', 'http://redis', 'redis://', 'redis://one,', 'redis://one,http://two', 'redis://one?tls=1']],
  ['DATABASE_POOL_SIZE', ['0', '1', 'ten']],
  ['JWT_SECRET', ['too short']],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', ['localhost:4317', 'grpc://localhost']],
])('%s refuses what it cannot be', (name, values) => {
  for (const value of values) expect([value, namesAtFault({ [name]: value })]).toEqual([value, [name]])
})

test('a fault never shows a secret', () => {
  const message = faultsOf({ DATABASE_URL: 'postgre://maru:hunter2@db/maru', JWT_SECRET: 'hunter2' })
    .map(({ problem, remedy }) => problem + remedy)
    .join()
  expect(message).toContain('DATABASE_URL')
  expect(message).toContain('JWT_SECRET')
  expect(message).not.toContain('hunter2')
})

test('settings that go together are demanded together', () => {
  expect(namesAtFault({ S3_BUCKET: 'files', S3_REGION: 'eu' })).toEqual([
    'S3_ENDPOINT',
    'S3_ACCESS_KEY_ID',
    'S3_SECRET_ACCESS_KEY',
  ])
  expect(namesAtFault({ AUTH_ISSUER: 'https://id.example.org' })).toEqual(['AUTH_JWKS_URL'])
  expect(namesAtFault({ AUTH_AUDIENCE: 'maru' })).toEqual(['AUTH_JWKS_URL', 'AUTH_ISSUER'])
})

test('an external database demands a secret, the embedded one does not', () => {
  expect(namesAtFault({ DATABASE_URL: 'postgres://db/maru' })).toEqual(['JWT_SECRET'])
  expect(namesAtFault({ DATABASE_URL: 'postgres://db/maru', JWT_SECRET: secret })).toEqual([])
  expect(namesAtFault({ JWT_SECRET: secret })).toEqual([])
})

test('a slip in a name is pointed out, and the variables of a usual shell are not', () => {
  expect(configWarnings({ DATABSE_URL: 'postgres://db/maru', DATADIR: '/srv/maru' })).toEqual([
    'DATABSE_URL is no setting; was DATABASE_URL meant?',
    'DATADIR is no setting; was DATA_DIR meant?',
  ])
  expect(configWarnings({ HOME: '/root', PATH: '/bin', LOGNAME: 'root', HOSTNAME: 'box', EDITOR: 'vi' })).toEqual([])
})

test('the table names each setting with its default and its meaning', () => {
  const rows = settingsTable().split('\n')
  for (const [name, { meaning }] of Object.entries(settings)) {
    expect(rows.find((row) => row.startsWith(`| \`${name}\` |`))).toContain(meaning)
  }
  expect(rows).toHaveLength(Object.keys(settings).length + 2)
  for (const row of rows) expect(row.split(/(?<!\\)\|/)).toHaveLength(5)
})

test('every default passes its own check', () => {
  for (const { initial, schema } of Object.values(settings)) {
    if (initial !== null) expect(schema.safeParse(initial).success).toBe(true)
  }
})
