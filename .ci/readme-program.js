// Usage: node .ci/readme-program.js README NAME FOLDER
// Pastes the first code block behind `<!-- program: NAME -->` into FOLDER as it stands and runs it there, until it has
// printed a table with a row of the topic. The program may go on for ever: it is stopped then.
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const [readme = '', name = '', folder = ''] = process.argv.slice(2)
const text = readFileSync(readme, 'utf8')
const marker = `<!-- program: ${name} -->`
const at = text.indexOf(marker)
const block = at === -1 ? null : /```(?:ts|js)\n([\s\S]*?)```/.exec(text.slice(at + marker.length))
if (block === null) {
  console.error(`${readme} has no code block behind ${marker}`)
  process.exit(1)
}
writeFileSync(join(folder, `${name}.mjs`), block[1])

const row = new RegExp(`^\\|.*${name}.*\\|`, 'm')
const child = spawn(process.execPath, [`${name}.mjs`], { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] })
let out = ''
let seen = false
const timer = setTimeout(() => child.kill('SIGKILL'), 30_000)
child.stdout.on('data', (data) => {
  process.stdout.write(data)
  out += data
  if (!seen && row.test(out)) {
    seen = true
    child.kill('SIGINT')
    setTimeout(() => child.kill('SIGKILL'), 5000).unref()
  }
})
child.on('exit', (code, signal) => {
  clearTimeout(timer)
  if (seen) return
  console.error(`the program printed no row of ${name} and ended with ${signal ?? code}`)
  process.exitCode = 1
})
