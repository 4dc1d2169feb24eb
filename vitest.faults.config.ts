import { defineConfig } from 'vitest/config'
import { shared } from './vitest.config.js'

/**
 * The fault plan of docs/guarantees.md: files that are flipped and cut, disks that fail and fill up, processes that are killed. Each
 * file prints its seed and its counts. It takes minutes, so it is no part of `npm test`. One file after the other, since most of them
 * start processes of their own.
 */
export default defineConfig({
  ...shared,
  test: {
    ...shared.test,
    include: ['test/faults/**/*.faults.ts'],
    testTimeout: 3_600_000,
    hookTimeout: 120_000,
    fileParallelism: false,
    reporters: ['verbose'],
  },
})
