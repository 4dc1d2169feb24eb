import type { TopicPartition } from './assignor.js'

/**
 * Kafka's sticky assignment where all members subscribe to the same topics. Every member is to have the quota, `floor(partitions / members)`, and as many
 * members as there are partitions over one more. First each keeps of what it owns what the quota allows: who owns more than the quota keeps one
 * more while there is one more to be had. Then what is free is dealt out in order, to who is below the quota, in a circle; and the ones
 * that are over go to who has exactly the quota, in the order in which they came to it.
 *
 * That is what Kafka's code does, and its tests say. The example in the documentation of its class, where the numbers come out even, deals to the emptiest
 * first instead: in that case so do we, and both hold.
 */
export function assignUniformly(
  members: readonly { readonly memberId: string; readonly owned: readonly TopicPartition[] }[],
  free: (owned: ReadonlySet<TopicPartition>) => readonly TopicPartition[],
  partitions: number,
): Map<string, TopicPartition[]> {
  const quota = Math.floor(partitions / members.length)
  const isEven = partitions % members.length === 0
  let over = partitions % members.length
  const assignment = new Map<string, TopicPartition[]>()
  const kept = new Set<TopicPartition>()
  let below: TopicPartition[][] = []
  const atQuota: TopicPartition[][] = []
  for (const { memberId, owned } of members) {
    const hasOneMore = owned.length > quota && over > 0
    if (hasOneMore) over -= 1
    const places = owned.slice(0, quota + (hasOneMore ? 1 : 0))
    for (const place of places) kept.add(place)
    assignment.set(memberId, places)
    if (places.length < quota) below.push(places)
    else if (!hasOneMore) atQuota.push(places)
  }
  const rest = free(kept)
  let at = 0
  for (let level = 0; below.length > 0; level++) {
    const still: TopicPartition[][] = []
    for (const places of below) {
      if (!isEven || places.length === level) places.push(rest[at++] as TopicPartition)
      if (places.length < quota) still.push(places)
      else atQuota.push(places)
    }
    below = still
  }
  for (let i = 0; at < rest.length; i++) atQuota[i]?.push(rest[at++] as TopicPartition)
  return assignment
}
