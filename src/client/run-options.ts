import { parseDuration } from '../common/duration.js'
import { MillraceError } from '../common/errors.js'
import { describe } from '../types/invalid-value.js'
import type { TopicPartition } from './assignor.js'
import { checkBoolean, checkNames, wrong } from './consumer-arguments.js'
import {
  type AutoCommitOptions,
  type ConsumerOptions,
  invalid,
  positive,
  resolveAutoCommit,
} from './consumer-options.js'
import type { ConsumerMessage } from './record-decoder.js'

/** What `consumer.run` takes and what its callbacks get, in the shapes of kafkajs. */

export interface EachMessagePayload extends TopicPartition {
  readonly message: ConsumerMessage
  /** Aborted when the partition is taken away or the consumer stops: end soon, what you have finished will be committed. */
  readonly signal: AbortSignal
  /** Here for code written for kafkajs: in one process nobody has to be told that a member lives. */
  readonly heartbeat: () => Promise<void>
  /** Nothing more of this partition is handed out until the function that it returns is called. */
  readonly pause: () => () => void
}

/** Offsets in the shape of kafkajs. */
export interface OffsetsByTopic {
  readonly topics: readonly {
    readonly topic: string
    readonly partitions: readonly { readonly partition: number; readonly offset: string }[]
  }[]
}

export interface ConsumerBatch extends TopicPartition {
  readonly messages: readonly ConsumerMessage[]
  /** The log end offset, as text. */
  readonly highWatermark: string
  isEmpty(): boolean
  firstOffset(): string | null
  lastOffset(): string
  /** Records behind the last one of the batch. */
  offsetLag(): string
  /** Records behind the first one of the batch. */
  offsetLagLow(): string
}

export interface EachBatchPayload {
  readonly batch: ConsumerBatch
  readonly signal: AbortSignal
  /** Everything up to this offset is done with. */
  readonly resolveOffset: (offset: string) => void
  readonly heartbeat: () => Promise<void>
  readonly pause: () => () => void
  /** Commits what is resolved, if interval or threshold say that it is time; or the offsets given, at once. */
  readonly commitOffsetsIfNecessary: (offsets?: OffsetsByTopic) => Promise<void>
  /** What is resolved and not committed. */
  readonly uncommittedOffsets: () => OffsetsByTopic
  /** False once the consumer stops or the partition is taken away. */
  readonly isRunning: () => boolean
  /** The rest of the batch counts no more: somebody has sought elsewhere or paused, or the partition is taken away. */
  readonly isStale: () => boolean
}

export interface HandlerErrorOptions {
  /** Tries in all, and the wait after the first failed one, which doubles. Default: one try. */
  readonly retry?:
    | { readonly attempts?: number | undefined; readonly backoff?: string | number | undefined }
    | undefined
  /** What then: the consumer stops in front of the message (default), or goes on behind it and emits 'skip'. */
  readonly then?: 'stop' | 'skip' | undefined
}

export interface RunOptions extends Pick<ConsumerOptions, 'autoCommit' | 'autoCommitInterval' | 'autoCommitThreshold'> {
  readonly eachMessage?: ((payload: EachMessagePayload) => Promise<void> | void) | undefined
  readonly eachBatch?: ((payload: EachBatchPayload) => Promise<void> | void) | undefined
  /** When eachBatch returns, all of the batch counts as resolved. Default true. */
  readonly eachBatchAutoResolve?: boolean | undefined
  /** Partitions whose handlers run at the same time. Default 1. */
  readonly partitionsConsumedConcurrently?: number | undefined
  /** Messages of one partition whose handlers run at the same time, of different keys; those of one key stay in order. Default 1. For eachMessage. */
  readonly keysConsumedConcurrently?: number | undefined
  /** What happens when a callback throws. Default: the consumer stops. */
  readonly onError?: HandlerErrorOptions | undefined
  /** Aborting it is `stop()`. */
  readonly signal?: AbortSignal | undefined
}

export interface ResolvedRunOptions {
  readonly eachMessage: RunOptions['eachMessage']
  readonly eachBatch: RunOptions['eachBatch']
  readonly autoResolve: boolean
  readonly lanes: number
  readonly keys: number
  readonly attempts: number
  readonly backoffMs: number
  readonly skips: boolean
  readonly autoCommit: AutoCommitOptions
  readonly signal: AbortSignal | undefined
}

const names = [
  'eachMessage',
  'eachBatch',
  'eachBatchAutoResolve',
  'partitionsConsumedConcurrently',
  'keysConsumedConcurrently',
  'autoCommit',
  'autoCommitInterval',
  'autoCommitThreshold',
  'onError',
  'signal',
]

function checkOnError(given: unknown): void {
  const hint = "onError: { retry: { attempts: 5, backoff: '100 ms' }, then: 'skip' }"
  const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
  if (given === undefined) return
  if (!isObject(given)) throw wrong('onError of run', given, 'an object with retry and then', hint)
  checkNames('onError of run', given, ['retry', 'then'])
  const { retry } = given as HandlerErrorOptions
  if (retry === undefined) return
  if (!isObject(retry)) throw wrong('onError.retry of run', retry, 'an object with attempts and backoff', hint)
  checkNames('onError.retry of run', retry, ['attempts', 'backoff'])
}

export function resolveRunOptions(options: RunOptions, autoCommit: AutoCommitOptions): ResolvedRunOptions {
  const { eachMessage, eachBatch, onError, signal } = (options ?? {}) as RunOptions
  const callbacks = [eachMessage, eachBatch].filter((callback) => callback !== undefined)
  if (callbacks.length !== 1 || typeof callbacks[0] !== 'function') {
    throw new MillraceError('INVALID_ARGUMENT', 'run takes one callback', {
      detail: `found ${callbacks.length === 1 ? describe(callbacks[0]) : `${callbacks.length} of them`}, expected eachMessage or eachBatch`,
      hint: 'consumer.run({ eachMessage: async ({ topic, partition, message }) => { … } })',
    })
  }
  checkNames('run', options, names)
  checkBoolean('run', 'eachBatchAutoResolve', options.eachBatchAutoResolve)
  checkOnError(onError)
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw invalid('signal', signal, 'an AbortSignal')
  const keys = positive('keysConsumedConcurrently', options.keysConsumedConcurrently, 1)
  if (keys > 1 && eachBatch !== undefined) {
    throw invalid('keysConsumedConcurrently', keys, 'eachMessage with it: a batch is handed out as a whole')
  }
  const then = onError?.then ?? 'stop'
  if (then !== 'stop' && then !== 'skip') throw invalid('onError.then', then, "'stop' or 'skip'")
  if (then === 'skip' && eachBatch !== undefined) {
    throw invalid('onError.then', then, "eachMessage with 'skip': of a batch nobody knows which message it was")
  }
  return {
    eachMessage,
    eachBatch,
    autoResolve: options.eachBatchAutoResolve !== false,
    lanes: positive('partitionsConsumedConcurrently', options.partitionsConsumedConcurrently, 1),
    keys,
    attempts: positive('onError.retry.attempts', onError?.retry?.attempts, 1),
    backoffMs: parseDuration(onError?.retry?.backoff ?? 100, 'a backoff'),
    skips: then === 'skip',
    autoCommit: resolveAutoCommit(options, autoCommit),
    signal,
  }
}
