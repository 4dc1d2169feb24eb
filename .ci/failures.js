// Usage: node .ci/failures.js REPORT OUTPUT. Says in few lines why a step failed: the tests that its report of vitest names, and how each
// failed; without such a report, or where it names none, the last lines of what the step printed.
import { existsSync, readFileSync } from 'node:fs'

const [report = '', output = ''] = process.argv.slice(2)
const lines = []
if (existsSync(report)) {
  for (const file of JSON.parse(readFileSync(report, 'utf8')).testResults) {
    const failed = file.assertionResults.filter((test) => test.status === 'failed')
    for (const test of failed) lines.push(`  ${test.fullName}: ${short(test.failureMessages.join(' '))}`)
    // A file that could not be loaded has no tests to fail.
    if (file.status === 'failed' && failed.length === 0)
      lines.push(`  ${file.name.replace(`${process.cwd()}/`, '')}: ${short(file.message)}`)
  }
}
if (lines.length === 0) {
  const said = readFileSync(output, 'utf8').trimEnd().split('\n')
  for (const line of said.slice(-8)) lines.push(`  ${short(line)}`)
}
console.log(lines.slice(0, 12).join('\n'))

/** A message without its colours and line breaks, and no longer than a few lines of a terminal. */
function short(message) {
  return message
    .replace(/\u001b\[[0-9;]*m/g, '')
    .replace(/\s+/g, ' ')
    .slice(0, 300)
}
