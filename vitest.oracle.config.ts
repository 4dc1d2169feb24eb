import { defineConfig } from 'vitest/config'
import { shared } from './vitest.config.js'

/**
 * Random queries against DuckDB, which is fetched by npm the first time (70 MB); `npm test` has what Spark answered, recorded.
 */
export default defineConfig({
  ...shared,
  test: { ...shared.test, include: ['test/oracle/**/*.oracle.ts'], testTimeout: 3_600_000, reporters: ['verbose'] },
})
