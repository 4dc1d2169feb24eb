#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { MillraceError } from '../common/errors.js'
import { verifyCommand } from './verify.js'

/** `npx millrace`: what can be done with an engine's directory from a shell. */
const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }

const program = new Command('millrace')
  .description('An embedded partitioned log and one query in three modes.')
  .version(manifest.version)
  .showHelpAfterError()
  .addCommand(verifyCommand())

program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`${error instanceof MillraceError ? `${error.code}: ${error.message}` : String(error)}\n`)
  process.exitCode = 2
})
