import { MillraceError } from '../common/errors.js'

/**
 * What becomes of a record that fails at some step of a query, or of a row that its sink refuses: tried again so many times, then one of three. Plain data,
 * as it travels between threads; the decisions that follow from it are functions here.
 */
export interface FailurePolicy {
  /** How often it is tried, the first time among them. What would fail again in the same way, an expression, is tried once. */
  readonly attempts: number
  /** Before the second attempt; twice as long before each one more. */
  readonly backoffMs: number
  readonly then: AfterAttempts
  /** The share of records failing, 0 to 1, above which the query ends; left out: never. */
  readonly stopAbove?: number
  /** Over which time the share is taken. */
  readonly windowMs: number
  /** Nobody has asked for it: a dead-letter queue is made by its first letter, and not before. */
  readonly isDefault?: boolean
}

export type AfterAttempts = 'dead-letter' | 'skip' | 'fail'

/** Where in a query it has failed. */
export type FailingStep = 'deserialize' | 'transform' | 'sink'

/** No attempt waits longer, as in Kafka Connect. */
export const BACKOFF_MS_MAX = 60_000
/** Of the wait, that chance takes off, so that what has failed together is not tried again together. */
const JITTER = 0.2

/** How long to wait before attempt `attempt` (from 2 on). `chance`: uniform in [0, 1). */
export function backoffBefore({ backoffMs }: FailurePolicy, attempt: number, chance: number): number {
  return Math.min(BACKOFF_MS_MAX, backoffMs * 2 ** (attempt - 2)) * (1 - JITTER * chance)
}

/** How a record has failed at last. */
export interface Failure {
  readonly step: FailingStep
  /** As a plan calls it: `map(enrich)`, `filter, project`. */
  readonly operator: string
  readonly code: string
  readonly message: string
  /** Which attempt was the last one. */
  readonly attempt: number
  /** Epoch milliseconds. */
  readonly firstAt: number
  readonly lastAt: number
}

/** By a policy that says `fail`: the error by which the query ends, with the place of the row. */
export function failedAt(error: unknown, place: string, attempts: number): unknown {
  if (!(error instanceof MillraceError)) return error
  const tries = attempts === 1 ? '' : `, ${attempts} times`
  return new MillraceError(error.code, error.summary, {
    detail: `at ${place}${tries}${error.detail === undefined ? '' : `; ${error.detail}`}`,
    hint: error.hint,
    retriable: error.retriable,
    cause: error.cause,
  })
}

/** What a row can have caused. Anything else is the engine's own, and no policy covers it. */
export function isOfRow(error: unknown): boolean {
  return error instanceof MillraceError && error.code !== 'INTERNAL'
}
