import { defineConfig } from 'vitest/config'

export default defineConfig({
  // graphql offers bundlers a copy of its own (`module`, `development`), and two copies do not know each other's types:
  // tests must load the one that Node loads.
  ssr: { resolve: { conditions: ['module-sync', 'node'] } },
  test: {
    globalSetup: 'server/testing/global-setup.ts',
    environment: 'node',
    include: ['**/*.test.ts'],
    exclude: ['**/node_modules/**', 'data/**', 'coverage/**'],
    // Processes, not threads: tests spawn servers, send signals and read the process's own memory.
    pool: 'forks',
    // Each worker has a database beside it, and the smallest machine that runs the tests has two cores.
    maxWorkers: 2,
    // Enough for a test that starts a server of its own on a busy machine; whoever needs longer says so.
    testTimeout: 20_000,
    // What is awaited comes within milliseconds, unless the machine has something else to do.
    expect: { poll: { timeout: 10_000 } },
    hookTimeout: 20_000,
    coverage: {
      provider: 'v8',
      include: ['client-sdk/**/*.ts', 'drizzle/**/*.ts', 'schema/**/*.ts', 'server/**/*.ts', 'workers/**/*.ts'],
      exclude: ['**/*.test.ts', 'server/bench/**', 'server/testing/**'],
      reporter: ['text-summary', 'html'],
    },
  },
})
