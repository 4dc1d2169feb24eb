import {
  type AssignableMember,
  type Assignment,
  type AssignorInput,
  emptyAssignment,
  type PartitionAssignor,
  sortedMembers,
  type TopicPartition,
} from './assignor.js'

/**
 * Kafka's `range`: topic by topic, the partitions in order are cut into one run for each subscriber, and the first subscribers get one more
 * where it does not divide. Topics with equally many partitions and the same subscribers come out alike, so that what is
 * keyed alike in two topics is read by one member.
 */
export const rangeAssignor: PartitionAssignor = {
  name: 'range',
  protocol: 'eager',
  assign(input: AssignorInput): Assignment {
    const members = sortedMembers(input.members)
    const assignment = emptyAssignment(members)
    for (const topic of [...new Set(members.flatMap((member) => member.topics))].sort()) {
      const subscribers = members.filter((member) => member.topics.includes(topic))
      const count = input.partitions.get(topic) ?? 0
      const least = Math.floor(count / subscribers.length)
      const withOneMore = count % subscribers.length
      let partition = 0
      for (let m = 0; m < subscribers.length; m++) {
        const places = assignment.get((subscribers[m] as AssignableMember).memberId) as TopicPartition[]
        const end = partition + least + (m < withOneMore ? 1 : 0)
        for (; partition < end; partition++) places.push({ topic, partition })
      }
    }
    return assignment
  },
}
