import { parseDuration } from '../common/duration.js'
import { MillraceError } from '../common/errors.js'
import type { QueryMode } from '../execution/engine-protocol.js'
import { describe } from '../types/invalid-value.js'

/** When a query advances; one of these. Without one: micro-batches as soon as possible. */
export type Trigger =
  | { readonly processingTime: string | number }
  /** Everything that is there at the start, then stop. */
  | { readonly availableNow: true }
  /** The same, in Spark's older word. */
  | { readonly once: true }
  /** Rows at once; a checkpoint at this interval. */
  | { readonly continuous: string | number }

export const defaultTrigger: Trigger = { processingTime: 0 }
/** Shorter epochs would spend their time on checkpoints. */
const CONTINUOUS_INTERVAL_MS_MIN = 1

export function queryMode(trigger: Trigger): Exclude<QueryMode, { kind: 'batch' }> {
  if ('continuous' in trigger) {
    const intervalMs = parseDuration(trigger.continuous, 'the checkpoint interval of trigger({ continuous })')
    return { kind: 'continuous', intervalMs: Math.max(CONTINUOUS_INTERVAL_MS_MIN, intervalMs) }
  }
  if ('processingTime' in trigger) {
    return {
      kind: 'microBatch',
      intervalMs: parseDuration(trigger.processingTime, 'the interval of trigger({ processingTime })'),
    }
  }
  return { kind: 'microBatch', intervalMs: 0, stopWhenCaughtUp: true }
}

const kinds = ['processingTime', 'availableNow', 'once', 'continuous']

/** Checks what JavaScript lets through. */
export function checkTrigger(trigger: Trigger): Trigger {
  const given: readonly string[] = typeof trigger === 'object' && trigger !== null ? Object.keys(trigger) : []
  const [kind = ''] = given
  if (given.length !== 1 || !kinds.includes(kind)) {
    throw new MillraceError(
      'INVALID_TRIGGER',
      'trigger() takes one of processingTime, availableNow, once, continuous',
      {
        detail: `found ${given.length === 0 ? describe(trigger) : given.join(', ')}`,
        hint: "trigger({ processingTime: '1 second' }), trigger({ availableNow: true }) or trigger({ continuous: '1 second' })",
      },
    )
  }
  if (('availableNow' in trigger && trigger.availableNow !== true) || ('once' in trigger && trigger.once !== true)) {
    throw new MillraceError('INVALID_TRIGGER', `trigger({ ${kind}: … }) takes the value true`, {
      detail: 'found another value',
      hint: `leave the trigger out for micro-batches as soon as possible`,
    })
  }
  if (queryMode(trigger).intervalMs < 0) {
    throw new MillraceError('INVALID_TRIGGER', `the interval of trigger({ ${kind}: … }) is negative`, {
      detail: 'expected 0 or more',
      hint: `trigger({ ${kind}: '1 second' })`,
    })
  }
  return trigger
}
