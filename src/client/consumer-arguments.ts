import { MillraceError } from '../common/errors.js'
import { nearestName } from '../common/nearest-name.js'
import { describe } from '../types/invalid-value.js'
import type { PartitionFilter } from './assigned-partitions.js'
import type { TopicPartition } from './assignor.js'

/**
 * What the methods of a consumer and of `mill.groups` are given. What does not have the shape that is asked for is refused with what was found: an
 * option that was mistyped must not be passed over in silence, least of all one that says where to begin.
 */

/** Throws at the first name that is not known. A value of undefined is as good as left out. */
export function checkNames(method: string, given: object, known: readonly string[]): void {
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || known.includes(name)) continue
    const nearest = nearestName(name, known)
    throw new MillraceError('UNKNOWN_OPTION', `${method} has no option '${name}'`, {
      detail: `there is ${known.join(', ')}`,
      hint: nearest === undefined ? 'leave it out' : `did you mean '${nearest}'?`,
    })
  }
}

export function checkBoolean(method: string, name: string, given: unknown): void {
  if (given === undefined || typeof given === 'boolean') return
  throw wrong(`${name} of ${method}`, given, 'true or false', `leave ${name} out for the default`)
}

/** `pause` and `resume`. */
export function checkFilters(method: 'pause' | 'resume', given: unknown): asserts given is readonly PartitionFilter[] {
  const hint = `consumer.${method}([{ topic: 'user-clicks', partitions: [0] }])`
  if (!Array.isArray(given)) throw wrong(`the argument of ${method}`, given, '[{ topic, partitions? }]', hint)
  for (const one of given as readonly unknown[]) {
    const { topic, partitions } = fieldsOf(one)
    if (typeof topic !== 'string') throw wrong(`topic of ${method}`, topic, 'the name of a topic', hint)
    if (partitions === undefined) continue
    if (!Array.isArray(partitions) || !partitions.every(isPartition)) {
      throw wrong(`partitions of ${method}`, partitions, 'an array of whole numbers from 0 on', hint)
    }
  }
}

/** Of methods that take places in partitions. */
export function checkPlaces(
  method: string,
  given: unknown,
  shape = '[{ topic, partition }]',
): asserts given is readonly TopicPartition[] {
  if (!Array.isArray(given)) throw wrong(`the argument of ${method}`, given, shape, `consumer.${method}(${shape})`)
  for (const one of given as readonly unknown[]) checkPlace(method, one, shape)
}

export function checkPlace(method: string, given: unknown, shape: string): asserts given is TopicPartition {
  const hint = `${method}(${shape})`
  if (typeof given !== 'object' || given === null) throw wrong(`the argument of ${method}`, given, shape, hint)
  const { topic, partition } = fieldsOf(given)
  if (typeof topic !== 'string') throw wrong(`topic of ${method}`, topic, 'the name of a topic', hint)
  if (!isPartition(partition)) throw wrong(`partition of ${method}`, partition, 'a whole number from 0 on', hint)
}

export function isPartition(given: unknown): given is number {
  return typeof given === 'number' && Number.isSafeInteger(given) && given >= 0
}

/** The fields of what may be no object at all. */
export function fieldsOf(given: unknown): Readonly<Record<string, unknown>> {
  return typeof given === 'object' && given !== null ? (given as Readonly<Record<string, unknown>>) : {}
}

export function wrong(what: string, found: unknown, expected: string, hint: string): MillraceError {
  return new MillraceError('INVALID_ARGUMENT', `${what} is not valid`, {
    detail: `found ${describe(found)}, expected ${expected}`,
    hint,
  })
}
