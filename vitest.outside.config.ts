import { defineConfig } from 'vitest/config'
import { shared } from './vitest.config.js'

/**
 * Tests against programs of others: Kafka's broker and its tools, from Maven's packages. They need Java 17 or later and Maven, and the
 * network the first time. One file after the other, since each starts what takes half a gigabyte.
 */
export default defineConfig({
  ...shared,
  test: {
    ...shared.test,
    include: ['test/outside/**/*.outside.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    fileParallelism: false,
    reporters: ['verbose'],
  },
})
