import { parseDuration } from '../common/duration.js'
import { MillraceError } from '../common/errors.js'
import type { AfterAttempts, FailurePolicy } from '../dead-letter/failure-policy.js'
import { letterTopicOf } from '../dead-letter/letter-topic.js'
import { type PhysicalPlan, scanStages } from '../plan/physical-plan.js'
import { describe } from '../types/invalid-value.js'
import { unknownName } from './unknown-name.js'

/** What becomes of a record that fails: `df.writeStream.onError({ … })`. */
export interface FailureOptions {
  /** Tried so often in all, `attempts` 1 is once; waits `backoff` before the second attempt, twice that before the third, and so on. */
  readonly retry?: { readonly attempts?: number; readonly backoff?: string | number }
  /** Into the dead-letter queue (the default), left out, or the end of the query. */
  readonly then?: AfterAttempts
  /** The query ends where more than this share of its records fails: `'5%'`. Left out: never. */
  readonly stopAbove?: string
  /** Over which time the share is taken. Default 1 minute. */
  readonly window?: string | number
}

const ATTEMPTS = 3
const BACKOFF = '100 ms'
const WINDOW = '1 minute'
const ATTEMPTS_MAX = 100
const names = ['retry', 'then', 'stopAbove', 'window']
const retryNames = ['attempts', 'backoff']
const outcomes: readonly AfterAttempts[] = ['dead-letter', 'skip', 'fail']

/** Checks what JavaScript lets through. */
export function failurePolicy(given: FailureOptions): FailurePolicy {
  const options = objectOf(given, 'onError()', names)
  const retry = objectOf(given.retry ?? {}, "onError()'s retry", retryNames)
  const { attempts = ATTEMPTS, backoff = BACKOFF } = retry as NonNullable<FailureOptions['retry']>
  const { then = 'dead-letter', stopAbove, window = WINDOW } = options as FailureOptions
  if (!Number.isSafeInteger(attempts) || attempts < 1 || attempts > ATTEMPTS_MAX) {
    throw invalid('retry.attempts', attempts, `a whole number from 1 to ${ATTEMPTS_MAX}, the first attempt among them`)
  }
  if (!outcomes.includes(then)) {
    throw unknownName('INVALID_FAILURE_POLICY', `onError() knows no then '${String(then)}'`, String(then), outcomes)
  }
  const backoffMs = parseDuration(backoff, "the backoff of onError()'s retry")
  if (backoffMs < 0) throw invalid('retry.backoff', backoff, "0 or more: '100 ms'")
  const windowMs = parseDuration(window, 'the window of onError()')
  if (windowMs <= 0) throw invalid('window', window, "more than 0: '1 minute'")
  return Object.freeze({
    attempts,
    backoffMs,
    then,
    ...(stopAbove === undefined ? {} : { stopAbove: share(stopAbove) }),
    windowMs,
  })
}

/** Of a query of which nobody has said anything: that of `onError()` where its dead letters have somewhere to go; else its first failure ends it. */
export function defaultPolicy(plan: PhysicalPlan): FailurePolicy | undefined {
  return letterFault(plan) === undefined ? { ...failurePolicy({}), isDefault: true } : undefined
}

/** Throws where dead letters of the plan's records have nowhere to go, or would come back to the query that writes them. */
export function checkLetters(policy: FailurePolicy | undefined, plan: PhysicalPlan): void {
  const fault = policy?.then === 'dead-letter' ? letterFault(plan) : undefined
  if (fault !== undefined) throw fault
}

function letterFault(plan: PhysicalPlan): MillraceError | undefined {
  const sources = scanStages(plan).map(({ input }) => input.source)
  const topics = sources.flatMap((source) => source.topics ?? []).map(({ name }) => name)
  const without = sources.find((source) => source.topics === undefined || source.topics.length === 0)
  if (without !== undefined) {
    return new MillraceError('DEAD_LETTER_WITHOUT_TOPIC', 'the query reads a source that has no dead-letter queue', {
      detail: `found a source of format ${without.format}; dead letters go to the topic that a record comes from, with .dlq behind its name`,
      hint: "onError({ then: 'skip' }) or onError({ then: 'fail' }); or send the rows to a topic, and read that",
    })
  }
  const own = topics.find((topic) => topics.includes(letterTopicOf(topic)))
  if (own === undefined) return undefined
  return new MillraceError('DEAD_LETTER_LOOP', `the query would read the dead letters that it writes`, {
    detail: `it reads ${own} and ${letterTopicOf(own)}`,
    hint: `read ${letterTopicOf(own)} in a query of its own`,
  })
}

function share(text: unknown): number {
  const percent = typeof text === 'string' ? /^\s*(\d+(?:\.\d+)?)\s*%\s*$/.exec(text) : null
  const value = percent === null ? Number.NaN : Number(percent[1])
  if (!(value >= 0 && value <= 100)) throw invalid('stopAbove', text, "a share in per cent: '5%'")
  return value / 100
}

function objectOf(given: unknown, what: string, known: readonly string[]): object {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new MillraceError('INVALID_FAILURE_POLICY', `${what} takes an object`, {
      detail: `found ${describe(given)}`,
      hint: "onError({ retry: { attempts: 3, backoff: '100 ms' }, then: 'dead-letter' })",
    })
  }
  for (const name of Object.keys(given)) {
    if (!known.includes(name))
      throw unknownName('INVALID_FAILURE_POLICY', `${what} has no option '${name}'`, name, known)
  }
  return given
}

function invalid(name: string, found: unknown, expected: string): MillraceError {
  return new MillraceError('INVALID_FAILURE_POLICY', `onError() cannot take ${name} as it is`, {
    detail: `found ${describe(found)}`,
    hint: `expected ${expected}`,
  })
}
