// Usage: node .ci/count.js REPORT FAILED_STEPS. Prints the last line of .ci/run and fails if anything did.
import { existsSync, readFileSync } from 'node:fs'

const [report = '', steps = '0'] = process.argv.slice(2)
let passed = 0
let failedTests = 0
if (existsSync(report)) {
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(report, 'utf8'))
  passed = numPassedTests
  // A file that could not be loaded has no tests to fail; it counts as one.
  const broken = testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0)
  failedTests = numFailedTests + broken.length
}
// The test step itself is among the failed steps where a test failed.
const failed = failedTests + Math.max(0, Number(steps) - (failedTests > 0 ? 1 : 0))
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1
