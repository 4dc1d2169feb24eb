import { fileURLToPath } from 'node:url'
import { defineConfig, type ViteUserConfig } from 'vitest/config'

// No test speaks TLS, and hundreds of processes are started: where this is set, each would read the certificates first, for 100 ms.
delete process.env['NODE_EXTRA_CA_CERTS']

/** Folders whose tests start no thread and no process, but for the files below them that are named. */
const pure = ['checkpoint', 'client', 'codegen', 'common', 'connector', 'log', 'plan', 'record', 'state', 'types']
const rooms = pure.map((room) => `test/${room}/**/*.test.ts`)
const startsThreads = 'test/log/threads.test.ts'

/**
 * Tests run in forked processes. Where the engine starts threads of its own, each file has one to itself: a test that crashes it must not
 * take another test with it. The tests of the rooms share theirs, which saves loading the rooms again for each. They import from
 * src/; tests that start threads import `millrace`, which is dist/ (worker files are real files), so `npm test` builds first.
 */
/** What the other configurations have in common with this one. */
export const shared = {
  resolve: {
    alias: [
      { find: /^millrace$/, replacement: fileURLToPath(new URL('./dist/index.js', import.meta.url)) },
      { find: /^millrace\/testing$/, replacement: fileURLToPath(new URL('./dist/testing/index.js', import.meta.url)) },
    ],
  },
  test: {
    pool: 'forks',
    setupFiles: [fileURLToPath(new URL('./test/setup.ts', import.meta.url))],
    // What is built is loaded by Node itself, as its users load it, and not transformed once more for each file.
    server: { deps: { external: [/\/dist\//] } },
    // Tests wait for the disk and for other processes more than they compute: two files at a time, also on two cores.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
  },
} satisfies ViteUserConfig

export default defineConfig({
  ...shared,
  test: {
    ...shared.test,
    projects: [
      { extends: true, test: { name: 'rooms', include: rooms, exclude: [startsThreads], isolate: false } },
      { extends: true, test: { name: 'threads', include: ['test/**/*.test.ts'], exclude: rooms } },
      { extends: true, test: { name: 'log threads', include: [startsThreads] } },
    ],
  },
})
