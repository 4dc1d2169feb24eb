/** Names of what a consumer tells, as kafkajs has them; each comes with `{ type, timestamp, payload }`. */
export const consumerEvents = Object.freeze({
  /** It has its partitions: `{ groupId, memberId, generationId, memberAssignment }`. */
  GROUP_JOIN: 'consumer.group_join',
  /** Partitions are being taken from it: `{ groupId, memberId }`. */
  REBALANCING: 'consumer.rebalancing',
  /** Offsets are committed: `{ groupId, offsets }`. */
  COMMIT_OFFSETS: 'consumer.commit_offsets',
  /** A position was not in the log: `{ topic, partition, from, to, reason }`. */
  OFFSET_RESET: 'consumer.offset_reset',
  STOP: 'consumer.stop',
  CRASH: 'consumer.crash',
} as const)
