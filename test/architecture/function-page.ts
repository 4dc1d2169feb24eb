import { readFileSync, writeFileSync } from 'node:fs'
import { modulesLoaded } from '../../src/common/lazy-module.js'
import { foldNames, functionNames } from '../../src/plan/function-names.js'
import { functionSpec } from '../../src/plan/functions.js'
import { snakeCase } from '../../src/plan/sql-functions.js'

/** docs/functions.md out of the table of functions: `npm run functions` writes it, a test holds it up to date. */
const page = new URL('../../docs/functions.md', import.meta.url).pathname

const throwing = { never: 'never', ansi: 'under ANSI, else null', always: 'on bad input' } as const

export function functionPage(): string {
  const rows = [...functionNames()].sort().map((name) => {
    const { signature = '', throws, minArgs, maxArgs } = functionSpec(name)
    const most = maxArgs === Number.POSITIVE_INFINITY ? '…' : String(maxArgs)
    const shape = signature === '' ? `${minArgs === maxArgs ? minArgs : `${minArgs} to ${most}`} arguments` : signature
    return `| \`${name}\` | \`${snakeCase(name)}\` | ${shape.replaceAll('|', '\\|')} | ${throwing[throws]} |`
  })
  const aggregates = ['count', 'sum', 'avg', 'min', 'max', 'countIf', 'boolAnd', 'boolOr', ...foldNames]
  return `# Functions

Made from the table in \`src/plan/functions.ts\` by \`npm run functions\`. Each is a function of the package by its first name, where it is
exported, and a function of SQL (\`expr\`, \`filter\`, \`selectExpr\`) by either. \`[x]\` may be left out. "Fails" says when a call is an error; a null
argument gives null unless the function is about nulls. What differs from Spark is in [spark-differences.md](spark-differences.md).

| name | in SQL | arguments → result | fails |
|---|---|---|---|
${rows.join('\n')}

## Aggregates

${aggregates.map((name) => `\`${name}\``).join(' · ')}

In SQL also \`DISTINCT\` in \`count\`, \`sum\`, \`avg\`, and \`FILTER (WHERE …)\` behind every one of them.
`
}

export const functionPageOnDisk = (): string => readFileSync(page, 'utf8')

if (process.argv[1]?.endsWith('function-page.ts') === true) {
  await modulesLoaded()
  writeFileSync(page, functionPage())
}
