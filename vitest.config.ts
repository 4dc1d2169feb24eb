import { fileURLToPath } from 'node:url'
import { defineConfig, type ViteUserConfig } from 'vitest/config'

// No test speaks TLS, and hundreds of processes are started: where this is set, each would read the certificates first, for 100 ms.
delete process.env['NODE_EXTRA_CA_CERTS']

/**
 * What the other configurations have in common with this one. What tests import from src/ is taken from where it is built, as what they import
 * from `millrace`: threads load real files, and so there is one copy of each module, loaded by Node itself. test/build.ts builds what is not up to date.
 */
export const shared = {
  resolve: {
    alias: [
      // Paths to src/, from any depth.
      { find: /^(?:\.\.\/)+src\/(.*\.js)$/, replacement: fileURLToPath(new URL('./dist/$1', import.meta.url)) },
      { find: /^millrace$/, replacement: fileURLToPath(new URL('./dist/index.js', import.meta.url)) },
      { find: /^millrace\/testing$/, replacement: fileURLToPath(new URL('./dist/testing/index.js', import.meta.url)) },
    ],
  },
  test: {
    pool: 'forks',
    // Many short tests in one process: what they leave is swept sooner from a larger young generation.
    execArgv: ['--max-semi-space-size=64'],
    globalSetup: [fileURLToPath(new URL('./test/build.ts', import.meta.url))],
    setupFiles: [fileURLToPath(new URL('./test/setup.ts', import.meta.url))],
    server: { deps: { external: [/\/dist\//] } },
    // Tests wait for the disk and for other processes more than they compute: two files at a time, also on two cores.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
  },
} satisfies ViteUserConfig

/** Two processes, whose files share what they have loaded: with a process for each file, loading would take a third of a second each time. */
export default defineConfig({ ...shared, test: { ...shared.test, include: ['test/**/*.test.ts'], isolate: false } })
