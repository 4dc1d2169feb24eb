import type { TopicDescriptor } from '../log/partition-descriptor.js'

/** An input partition. `source`: the number of its source among those of the query; left out it is the first. */
export type InputName = readonly [topic: string, partition: number, source?: number]

/** The partitions of these topics, topic by topic. */
export function inputsOf(topics: readonly { readonly name: string; readonly partitions: number }[]): InputName[] {
  return topics.flatMap(({ name, partitions }) =>
    Array.from({ length: partitions }, (_, partition): InputName => [name, partition]),
  )
}

/**
 * The input partitions of a query in the order that gives each its number, by which checkpoints name it: those that are `known` keep theirs, and
 * what has been added comes behind. Of these the last topic's come first: they followed the known ones before orders were written down.
 */
export function inputOrder(topics: readonly TopicDescriptor[], known: readonly InputName[] = []): InputName[] {
  const isKnown = new Set(known.map(nameOf))
  const order = known.length === 0 ? topics : [...topics.slice(-1), ...topics.slice(0, -1)]
  const all = inputsOf(order.map((topic) => ({ name: topic.name, partitions: topic.partitions.length })))
  return [...known, ...all.filter((input) => !isKnown.has(nameOf(input)))]
}

// No topic has a slash in its name.
const nameOf = ([topic, partition]: InputName): string => `${topic}/${partition}`
