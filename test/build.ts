import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
/** Written by each build that changed something. */
const info = join(root, 'dist/.tsbuildinfo')

/** Tests run what is built: where a source is newer, it is built first, also for `npx vitest run one.test.ts`. */
export default function build(): void {
  const newest = Math.max(
    ...readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).map(
      (path) => statSync(join(root, 'src', path)).mtimeMs,
    ),
  )
  if (existsSync(info) && statSync(info).mtimeMs >= newest) return
  execFileSync('npm', ['run', 'build', '--silent'], { cwd: root, stdio: 'inherit' })
  const now = new Date()
  utimesSync(info, now, now)
}
