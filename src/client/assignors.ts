import { MillraceError } from '../common/errors.js'
import { nearestName } from '../common/nearest-name.js'
import { describe } from '../types/invalid-value.js'
import type { PartitionAssignor } from './assignor.js'
import { rangeAssignor } from './range-assignor.js'
import { roundRobinAssignor } from './round-robin-assignor.js'
import { cooperativeStickyAssignor, stickyAssignor } from './sticky-assignor.js'

/** The assignors that there are, by Kafka's names. */
const byName: ReadonlyMap<string, PartitionAssignor> = new Map(
  [rangeAssignor, roundRobinAssignor, stickyAssignor, cooperativeStickyAssignor].map((a) => [a.name, a]),
)

/** What a consumer supports, in the order of its preference. Default: cooperative-sticky, since only what moves is stopped. */
export function resolveAssignors(given: unknown): readonly PartitionAssignor[] {
  if (given === undefined) return [cooperativeStickyAssignor]
  if (!Array.isArray(given) || given.length === 0) throw invalid(given)
  return given.map((one: unknown) => {
    if (typeof one === 'string') return byName.get(one) ?? unknownName(one)
    if (!isAssignor(one)) throw invalid(one)
    return one
  })
}

/** The one that all members support: each votes for the first of its own that all have, as Kafka's groups do. Undefined: there is none. */
export function chooseAssignor(supported: readonly (readonly PartitionAssignor[])[]): PartitionAssignor | undefined {
  const [first, ...others] = supported
  if (first === undefined) return undefined
  const common = first.filter((a) => others.every((list) => list.some((b) => b.name === a.name)))
  const votes = new Map<string, number>()
  for (const list of supported) {
    const vote = list.find((a) => common.some((b) => b.name === a.name))
    if (vote !== undefined) votes.set(vote.name, (votes.get(vote.name) ?? 0) + 1)
  }
  let chosen = common[0]
  for (const candidate of common) {
    if ((votes.get(candidate.name) ?? 0) > (votes.get(chosen?.name ?? '') ?? 0)) chosen = candidate
  }
  return chosen
}

function isAssignor(value: unknown): value is PartitionAssignor {
  if (typeof value !== 'object' || value === null) return false
  const { name, protocol, assign } = value as Partial<PartitionAssignor>
  return (
    typeof name === 'string' && (protocol === 'eager' || protocol === 'cooperative') && typeof assign === 'function'
  )
}

function unknownName(name: string): never {
  const names = [...byName.keys()]
  const nearest = nearestName(name, names)
  throw new MillraceError('UNKNOWN_ASSIGNOR', `there is no assignor '${name}'`, {
    detail: `there is ${names.join(', ')}`,
    hint: nearest === undefined ? 'leave partitionAssigners out' : `did you mean '${nearest}'?`,
  })
}

function invalid(found: unknown): MillraceError {
  return new MillraceError('INVALID_ARGUMENT', 'partitionAssigners is a list of assignors', {
    detail: `found ${describe(found)}, expected names or { name, protocol: 'eager' | 'cooperative', assign }`,
    hint: "mill.consumer({ groupId: 'audit', partitionAssigners: ['range'] })",
  })
}
