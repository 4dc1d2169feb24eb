import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/**
 * Tests run in forked processes, one file each: the engine starts threads of its own, and a test that
 * crashes one must not take another test with it. Tests of a room import from src/; tests that start
 * threads import `millrace`, which is dist/ (worker files are real files), so `npm test` builds first.
 */
export default defineConfig({
  resolve: {
    alias: [
      { find: /^millrace$/, replacement: fileURLToPath(new URL('./dist/index.js', import.meta.url)) },
      { find: /^millrace\/testing$/, replacement: fileURLToPath(new URL('./dist/testing/index.js', import.meta.url)) },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    // Tests wait for the disk and for other processes more than they compute: two files at a time, also on two cores.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
  },
})
