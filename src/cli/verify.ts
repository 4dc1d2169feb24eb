import { resolve } from 'node:path'
import { Command } from 'commander'
import { nodeEnv } from '../common/env.js'
import { modulesLoaded } from '../common/lazy-module.js'
import { verifyDirectory } from '../execution/verify.js'
import type { VerifyReport } from '../log/log-verify.js'

/**
 * `npx millrace verify DIR`: exit status 0 where everything is whole, 1 where something is damaged, 2 where it could not be looked at.
 */
export function verifyCommand(): Command {
  return new Command('verify')
    .description(
      'Walks every file of a directory that no engine has open, and says what is damaged. Changes nothing in it.',
    )
    .argument('<dir>', 'the directory that is given to Millrace.open')
    .option('--salvage <out>', 'copy what is whole into this directory, which must be empty or missing')
    .option('--json', 'print the report as JSON')
    .action(async (dir: string, options: { readonly salvage?: string; readonly json?: boolean }) => {
      await modulesLoaded()
      const salvage = options.salvage === undefined ? undefined : resolve(options.salvage)
      const report = await verifyDirectory(nodeEnv, resolve(dir), salvage)
      process.stdout.write(options.json === true ? `${JSON.stringify(report, null, 2)}\n` : verifyText(report, salvage))
      if (!report.ok) process.exitCode = 1
    })
}

export function verifyText(report: VerifyReport, salvage: string | undefined): string {
  const lines = [
    `${report.topics} topics, ${report.partitions} partitions, ${report.segments} segments, ${report.batches} batches, ${report.records} records, ${report.bytes} bytes`,
  ]
  for (const each of report.damaged) {
    lines.push(
      `damaged: ${each.topic}-${each.partition}, offsets ${each.fromOffset} to ${each.toOffset - 1}`,
      `  ${each.file}, byte ${each.byte}: ${each.reason}`,
    )
  }
  for (const each of report.damagedFiles) lines.push(`damaged: ${each.file}`, `  ${each.reason}`)
  for (const each of report.torn) {
    lines.push(
      `torn: ${each.file}, ${each.bytes} bytes from byte ${each.byte}: ${each.reason}; the next opening cuts them`,
    )
  }
  for (const warning of report.warnings) lines.push(`note: ${warning}`)
  const whole = salvage === undefined ? 'or copy what is whole with --salvage DIR' : 'or open with what is whole'
  lines.push(report.ok ? 'ok' : `NOT ok: nothing was deleted; restore the files from a copy, ${whole}`)
  if (salvage !== undefined) lines.push(`what is whole is in ${salvage}`)
  return `${lines.join('\n')}\n`
}
