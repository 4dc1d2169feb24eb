import {
  type AssignableMember,
  type Assignment,
  type AssignorInput,
  emptyAssignment,
  type PartitionAssignor,
  sortedMembers,
  sortedPartitions,
} from './assignor.js'

/**
 * Kafka's `roundrobin`: all partitions of all topics in order, dealt out in a circle that passes over who does not subscribe. Where all subscribe
 * to the same, counts differ by one at most; where they do not, it can be uneven, and `sticky` is better.
 */
export const roundRobinAssignor: PartitionAssignor = {
  name: 'roundrobin',
  protocol: 'eager',
  assign(input: AssignorInput): Assignment {
    const members = sortedMembers(input.members)
    const assignment = emptyAssignment(members)
    let turn = 0
    for (const place of sortedPartitions(input)) {
      // Somebody subscribes, or the partition would not be in the list.
      while (!(members[turn] as AssignableMember).topics.includes(place.topic)) turn = (turn + 1) % members.length
      assignment.get((members[turn] as AssignableMember).memberId)?.push(place)
      turn = (turn + 1) % members.length
    }
    return assignment
  },
}
