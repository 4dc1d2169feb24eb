import { MillraceError } from '../common/errors.js'
import { TRANSACTION_TIMEOUT_MS } from '../log/limits.js'
import { describe } from '../types/invalid-value.js'
import { byOurNames, checkClientOptions } from './client-options.js'
import type { Compression } from './compression-types.js'
import { DELIVERY_TIMEOUT_MS, MAX_BLOCK_MS } from './limits.js'

/** What a producer may be told: kafkajs' names, and Kafka's own. */
export interface ProducerOptions {
  /**
   * Every batch carries a producer id and a sequence, and a send waits out a full disk, up to `delivery.timeout.ms`, instead of being refused when its
   * records may be in the log already. Default false; a producer with a transactionalId is.
   */
  readonly idempotent?: boolean | undefined
  readonly 'enable.idempotence'?: boolean | undefined
  /** The producer sends in transactions alone; a later producer with the same id fences this one. */
  readonly transactionalId?: string | undefined
  readonly 'transactional.id'?: string | undefined
  /** Milliseconds after which the engine aborts a transaction that is still open. Default 60 000. */
  readonly transactionTimeout?: number | undefined
  readonly 'transaction.timeout.ms'?: number | undefined
  /**
   * When a send resolves. 0: its records are in the log, and readers see them; 1: they are the operating system's as well; -1 or 'all': as the
   * topic's fsync mode promises. Default -1.
   */
  readonly acks?: Acks | undefined
  /** How long a send waits for others to share its batch. Default 0: until the end of the turn of the event loop. */
  readonly lingerMs?: number | undefined
  readonly 'linger.ms'?: number | undefined
  /** Bytes of a record batch that are enough: a larger one is cut, and a batch that is as large does not linger. Default: what a slice of a send gives. */
  readonly batchSize?: number | undefined
  readonly 'batch.size'?: number | undefined
  /** Bytes of records that may be on their way into the log; `send` waits for room, `write` says false. Default: no bound for `send`. */
  readonly bufferMemory?: number | undefined
  readonly 'buffer.memory'?: number | undefined
  /** How long `send` waits for room in the buffer. Default 60 000. */
  readonly 'max.block.ms'?: number | undefined
  /** Means nothing here: appends are in order however many sends are under way. */
  readonly maxInFlightRequests?: number | undefined
  readonly 'max.in.flight.requests.per.connection'?: number | undefined
  /** How long an idempotent producer goes on trying. Default 120 000. */
  readonly 'delivery.timeout.ms'?: number | undefined
  /**
   * Checked, and no more: an idempotent producer tries until `delivery.timeout.ms` is over, however often that is, so 0 is not for it; another one never
   * tries again by itself.
   */
  readonly retries?: number | undefined
  /**
   * What its records are compressed with in segment files, in topics whose `compression.type` is 'producer', as it is by default.
   * The engine does it on the way to the disk; a memory topic's records are not. Default: 'none'.
   */
  readonly compression?: Compression | undefined
  readonly 'compression.type'?: Compression | undefined
}

/** 'all' is -1. */
export type Acks = 0 | 1 | -1 | 'all' | '0' | '1' | '-1' | number

export interface ProducerSettings {
  readonly isIdempotent: boolean
  readonly transactionalId: string | undefined
  readonly transactionTimeoutMs: number
  readonly acks: 0 | 1 | -1
  readonly lingerMs: number
  readonly batchBytes: number | undefined
  readonly bufferBytes: number | undefined
  readonly maxBlockMs: number
  readonly deliveryTimeoutMs: number
  /** As it was given. */
  readonly compression: unknown
}

/** Kafka's name after ours. */
const aliases: Readonly<Record<string, string>> = {
  idempotent: 'enable.idempotence',
  transactionalId: 'transactional.id',
  transactionTimeout: 'transaction.timeout.ms',
  lingerMs: 'linger.ms',
  batchSize: 'batch.size',
  bufferMemory: 'buffer.memory',
  compression: 'compression.type',
}
const producerOptionNames: readonly string[] = [
  ...Object.entries(aliases).flat(),
  'acks',
  'max.block.ms',
  'delivery.timeout.ms',
  'retries',
]

/** What was said, checked, with the defaults filled in. */
export function producerSettings(options: ProducerOptions): ProducerSettings {
  checkClientOptions('producer', options, producerOptionNames)
  const given = new Map(Object.entries(byOurNames('producer', options, aliases)))
  const transactionalId = given.get('transactionalId')
  if (transactionalId !== undefined && (typeof transactionalId !== 'string' || transactionalId === ''))
    throw invalid('transactionalId', transactionalId, 'a text that is not empty')
  const idempotent = given.get('idempotent') ?? transactionalId !== undefined
  if (typeof idempotent !== 'boolean') throw invalid('idempotent', idempotent, 'true or false')
  if (!idempotent && transactionalId !== undefined)
    throw invalid('idempotent', false, 'true, or left out: transactions need it')
  const acks = acksOf(given.get('acks')) ?? -1
  if (idempotent) idempotentAcks(acks)
  const number = (name: string, least: number, otherwise: number): number => {
    const value = given.get(name) ?? otherwise
    if (typeof value !== 'number' || !Number.isFinite(value) || value < least)
      throw invalid(name, value, `a number from ${least} on`)
    return value
  }
  const retries = number('retries', 0, 1)
  if (!Number.isInteger(retries)) throw invalid('retries', retries, 'a whole number from 0 on')
  if (retries === 0 && idempotent)
    throw invalid(
      'retries',
      0,
      'more than 0, or left out: an idempotent producer tries again until delivery.timeout.ms',
    )
  const bytes = (name: string): number | undefined => (given.has(name) ? number(name, 1, 1) : undefined)
  return {
    isIdempotent: idempotent,
    transactionalId,
    transactionTimeoutMs: number('transactionTimeout', 1, TRANSACTION_TIMEOUT_MS),
    acks,
    lingerMs: number('lingerMs', 0, 0),
    batchBytes: bytes('batchSize'),
    bufferBytes: bytes('bufferMemory'),
    maxBlockMs: number('max.block.ms', 0, MAX_BLOCK_MS),
    deliveryTimeoutMs: number('delivery.timeout.ms', 1, DELIVERY_TIMEOUT_MS),
    compression: given.get('compression'),
  }
}

/** Undefined where nothing was said. */
export function acksOf(acks: unknown): 0 | 1 | -1 | undefined {
  if (acks === undefined) return undefined
  if (acks === 'all' || acks === -1 || acks === '-1') return -1
  if (acks === 0 || acks === '0') return 0
  if (acks === 1 || acks === '1') return 1
  throw invalid('acks', acks, "0, 1, -1 or 'all'")
}

/** Kafka's rule: who promises that nothing is there twice must know what is there. */
export function idempotentAcks(acks: 0 | 1 | -1): void {
  if (acks !== -1) throw invalid('acks', acks, "'all' or -1: an idempotent or transactional producer needs it")
}

function invalid(name: string, found: unknown, expected: string): MillraceError {
  return new MillraceError('INVALID_ARGUMENT', `${name} of a producer is not valid`, {
    detail: `found ${describe(found)}, expected ${expected}`,
    hint: `mill.producer({ ${name.includes('.') ? `'${name}'` : name}: … })`,
  })
}
