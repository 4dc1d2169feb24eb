import { parseDuration } from '../common/duration.js'
import { MillraceError } from '../common/errors.js'
import { type TextFormat, textFormats } from '../plan/logical-plan.js'
import type { ConsoleOptions } from './sink/console-sink.js'
import { invalidOption, unknownName } from './unknown-name.js'

/** Which options a writer takes, and what their values may be. */
export type SinkFormat = 'console' | 'memory' | 'noop' | 'log' | TextFormat
export const sinkFormats: readonly SinkFormat[] = ['console', 'memory', 'noop', 'log', ...textFormats]

const common = ['checkpointLocation', 'idleTimeout', 'multipleWatermarkPolicy', 'watermark']
const files = ['path', 'rollBytes', 'rollAge']
const byFormat: Readonly<Record<SinkFormat, readonly string[]>> = {
  console: ['numRows', 'truncate'],
  memory: [],
  noop: [],
  log: ['topic'],
  json: [...files, 'ignoreNullFields'],
  csv: [...files, 'sep', 'delimiter', 'quote', 'escape', 'header', 'nullValue', 'quoteAll'],
}

export function checkOptionNames(format: SinkFormat | undefined, options: ReadonlyMap<string, string>): void {
  const known = [...(format === undefined ? [] : byFormat[format]), ...common]
  for (const name of options.keys()) {
    if (known.includes(name)) continue
    const what = format === undefined ? 'this writer' : `the sink '${format}'`
    throw unknownName('UNKNOWN_OPTION', `${what} has no option '${name}'`, name, known)
  }
}

/**
 * What the runtime takes from the writer's options. `idleTimeout`: a duration, or 'off'; default 5 seconds. `multipleWatermarkPolicy`: how
 * the watermarks of several inputs make one, 'min' (default; nothing is late that its own input still waits for) or 'max'.
 */
export function runOptions(options: ReadonlyMap<string, string>): Record<string, string> {
  const idle = options.get('idleTimeout')
  const policy = options.get('multipleWatermarkPolicy')
  const run: Record<string, string> = {}
  if (idle !== undefined)
    run.idleTimeoutMs = idle === 'off' ? 'Infinity' : String(parseDuration(idle, 'the idle timeout'))
  if (policy !== undefined) {
    if (policy !== 'min' && policy !== 'max') throw invalidOption('multipleWatermarkPolicy', policy, 'min or max')
    run.multipleWatermarkPolicy = policy
  }
  return run
}

/** `watermark`: how lateness is decided, 'log' (default; docs/architecture.md) or 'spark', which there is for micro-batches alone. */
export function watermarkRule(
  options: ReadonlyMap<string, string>,
  mode: 'batch' | 'microBatch' | 'continuous',
): 'log' | 'spark' {
  const rule = options.get('watermark') ?? 'log'
  if (rule !== 'log' && rule !== 'spark') throw invalidOption('watermark', rule, 'log or spark')
  if (rule === 'spark' && mode !== 'microBatch') {
    throw new MillraceError('UNSUPPORTED_OPERATION', "the option watermark 'spark' needs micro-batches", {
      detail: "Spark's watermark moves at the end of a micro-batch, and this query is to run continuously",
      hint: "trigger({ processingTime: '1 second' }) or { availableNow: true }; or leave the option out",
    })
  }
  return rule
}

export function consoleOptions(options: ReadonlyMap<string, string>): ConsoleOptions {
  const numRows = options.get('numRows') ?? '20'
  const truncate = options.get('truncate') ?? 'true'
  if (!/^\d+$/.test(numRows)) throw invalidOption('numRows', numRows, 'a whole number from 0 on')
  if (!/^(true|false|\d+)$/.test(truncate))
    throw invalidOption('truncate', truncate, 'true, false or a number of characters')
  return {
    numRows: Number(numRows),
    truncate: truncate === 'true' ? true : truncate === 'false' ? false : Number(truncate),
  }
}
