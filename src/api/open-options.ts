import { availableParallelism, totalmem } from 'node:os'
import { resolve } from 'node:path'
import { FIRST_WORKER_SLOT, MAX_THREAD_SLOTS } from '../common/doorbell.js'
import { MillraceError } from '../common/errors.js'
import { guardedLogger, type Logger, silentLogger } from '../common/logger.js'
import { CLOSE_TIMEOUT_MS } from '../execution/limits.js'
import type { FsyncMode } from '../log/log-writer.js'
import { LOCAL_ROWS_MAX } from '../plan/local-plan.js'
import { nearestHint, unknownName } from './unknown-name.js'

/** What `Millrace.open` takes; see {@link resolveOptions} for the defaults. */
export interface MillraceOptions {
  /** Log, registry and checkpoints live here. Without it everything is in memory. */
  readonly dir?: string | undefined
  /** Worker threads. Default: as many as the machine runs at once. */
  readonly workers?: number | undefined
  /** What an acknowledged send has survived. Default `group`: it is on the disk, and many sends share one sync. */
  readonly fsync?: FsyncMode | undefined
  /** Bytes. Default: a quarter of what the machine or the container allows. */
  readonly memoryBudget?: number | undefined
  /** Errors where ANSI SQL has errors (overflow, bad casts), as Spark 4; false gives null instead. Default true. */
  readonly ansi?: boolean | undefined
  /**
   * pino's shape: hears of torn tails that were cut, damaged segments, workers that died, queries that failed. Default: silent.
   */
  readonly logger?: Logger | undefined
  /**
   * After so many milliseconds the offsets of a group without members are forgotten. Default seven days: Kafka's
   * offsets.retention.minutes.
   */
  readonly offsetsRetentionMs?: number | undefined
  /** After so many milliseconds without use a transactionalId is forgotten. Default seven days: Kafka's transactional.id.expiration.ms. */
  readonly transactionalIdExpirationMs?: number | undefined
  /**
   * After so many milliseconds without a record a partition forgets what it knows of a producer. Default one day: Kafka's
   * producer.id.expiration.ms.
   */
  readonly producerIdExpirationMs?: number | undefined
  /**
   * How long `close` waits for queries to end at an epoch; then it ends their threads and rejects with CLOSE_TIMED_OUT, with
   * everything closed. Default 30 000.
   */
  readonly closeTimeoutMs?: number | undefined
  /**
   * Queries over rows in memory (createDataFrame, a memory sink's table) that only filter, project, sort and limit are evaluated in this thread,
   * without the workers, where there are no more rows than this and they take no more than 1 MiB. Default 1000; 0: never.
   */
  readonly localRowsMax?: number | undefined
}

export interface ResolvedOptions {
  readonly dir?: string
  readonly workers: number
  readonly fsync: FsyncMode
  readonly memoryBudget: number
  readonly ansi: boolean
  readonly logger: Logger
  readonly closeTimeoutMs: number
  readonly localRowsMax: number
  readonly offsetsRetentionMs?: number
  readonly transactionalIdExpirationMs?: number
  readonly producerIdExpirationMs?: number
}

const fsyncModes: readonly FsyncMode[] = ['never', 'interval', 'group', 'always']
/** How long what nobody uses is kept. */
const retentions = ['offsetsRetentionMs', 'transactionalIdExpirationMs', 'producerIdExpirationMs'] as const
const optionNames = [
  'dir',
  'workers',
  'fsync',
  'memoryBudget',
  'ansi',
  'logger',
  'closeTimeoutMs',
  'localRowsMax',
  ...retentions,
]
export const MAX_WORKERS = MAX_THREAD_SLOTS - FIRST_WORKER_SLOT
/** Below this the log cannot hold a chunk for each partition of a few topics. */
const MIN_MEMORY_BUDGET = 16 * 1024 * 1024

export function resolveOptions(options: MillraceOptions): ResolvedOptions {
  if (typeof options !== 'object' || options === null) {
    throw optionError('options', options, 'an object', "Millrace.open({ dir: './data' })")
  }
  for (const name of Object.keys(options)) {
    if (optionNames.includes(name)) continue
    throw unknownName('UNKNOWN_OPTION', `Millrace.open has no option '${name}'`, name, optionNames)
  }
  const { dir, workers, fsync, memoryBudget, ansi, logger, closeTimeoutMs, localRowsMax } = options
  if (dir !== undefined && (typeof dir !== 'string' || dir === '')) {
    throw optionError('dir', dir, 'a path', 'leave it out to keep everything in memory')
  }
  if (workers !== undefined && (!Number.isInteger(workers) || workers < 1 || workers > MAX_WORKERS)) {
    throw optionError(
      'workers',
      workers,
      `a whole number from 1 to ${MAX_WORKERS}`,
      'one for each core is a good choice',
    )
  }
  if (fsync !== undefined && !fsyncModes.includes(fsync)) {
    throw optionError('fsync', fsync, `one of ${fsyncModes.join(', ')}`, nearestHint(String(fsync), fsyncModes))
  }
  if (memoryBudget !== undefined && !(Number.isFinite(memoryBudget) && memoryBudget >= MIN_MEMORY_BUDGET)) {
    throw optionError(
      'memoryBudget',
      memoryBudget,
      `at least ${MIN_MEMORY_BUDGET} bytes`,
      'it counts bytes, not megabytes',
    )
  }
  if (ansi !== undefined && typeof ansi !== 'boolean')
    throw optionError('ansi', ansi, 'true or false', 'leave it out for the errors of ANSI SQL')
  if (logger !== undefined) checkLogger(logger)
  // A timer of Node fires at once beyond 2^31 - 1.
  if (closeTimeoutMs !== undefined && !(closeTimeoutMs >= 0 && closeTimeoutMs < 2 ** 31)) {
    throw optionError(
      'closeTimeoutMs',
      closeTimeoutMs,
      'milliseconds from 0 to 2147483647',
      'leave it out for 30 seconds',
    )
  }
  if (localRowsMax !== undefined && !(Number.isSafeInteger(localRowsMax) && localRowsMax >= 0)) {
    throw optionError(
      'localRowsMax',
      localRowsMax,
      'a number of rows',
      `leave it out for ${LOCAL_ROWS_MAX}; 0 is never`,
    )
  }
  for (const name of retentions) {
    const given = options[name]
    if (given === undefined || (Number.isSafeInteger(given) && given > 0)) continue
    throw optionError(name, given, 'a whole number of milliseconds above 0', 'leave it out for the default of Kafka')
  }
  return {
    ...(dir === undefined ? {} : { dir: resolve(dir) }),
    ...retentionsOf(options),
    workers: workers ?? Math.min(MAX_WORKERS, availableParallelism()),
    fsync: fsync ?? 'group',
    memoryBudget: Math.floor(memoryBudget ?? Math.max(MIN_MEMORY_BUDGET, allowedMemory() / 4)),
    ansi: ansi ?? true,
    logger: logger === undefined ? silentLogger : guardedLogger(logger),
    closeTimeoutMs: closeTimeoutMs ?? CLOSE_TIMEOUT_MS,
    localRowsMax: localRowsMax ?? LOCAL_ROWS_MAX,
  }
}

function retentionsOf(options: MillraceOptions): Pick<ResolvedOptions, (typeof retentions)[number]> {
  const { offsetsRetentionMs, transactionalIdExpirationMs, producerIdExpirationMs } = options
  return {
    ...(offsetsRetentionMs === undefined ? {} : { offsetsRetentionMs }),
    ...(transactionalIdExpirationMs === undefined ? {} : { transactionalIdExpirationMs }),
    ...(producerIdExpirationMs === undefined ? {} : { producerIdExpirationMs }),
  }
}

/** A container may allow less than the machine has; where nothing constrains it the figure is 0 or astronomical. */
function allowedMemory(): number {
  const machine = totalmem()
  const constrained = process.constrainedMemory()
  return constrained > 0 && constrained < machine ? constrained : machine
}

function checkLogger(logger: Logger): void {
  for (const level of ['debug', 'info', 'warn', 'error'] as const) {
    if (typeof logger[level] !== 'function') {
      throw optionError(
        'logger',
        logger,
        `an object with the methods debug, info, warn and error`,
        'pass pino() or console',
      )
    }
  }
}

function optionError(name: string, found: unknown, expected: string, hint?: string): MillraceError {
  return new MillraceError('INVALID_OPTION', `option '${name}' of Millrace.open is not valid`, {
    detail: `found ${describe(found)}, expected ${expected}`,
    hint,
  })
}

function describe(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`
  if (value === null || typeof value !== 'object') return String(value)
  return Array.isArray(value) ? 'an array' : 'an object'
}
