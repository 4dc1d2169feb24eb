/** Values that programs for kafkajs import by name, apart from what they stand for: who imports them has not yet any use for codecs and assignors. */

/** The codecs by the names and numbers of kafkajs. */
export const CompressionTypes = { None: 0, GZIP: 1, Snappy: 2, LZ4: 3, ZSTD: 4 } as const

/** Kafka's names of the assignors that there are, for `partitionAssigners`. */
export const PartitionAssigners = Object.freeze({
  range: 'range',
  roundRobin: 'roundrobin',
  sticky: 'sticky',
  cooperativeSticky: 'cooperative-sticky',
} as const)

export type AssignorName = (typeof PartitionAssigners)[keyof typeof PartitionAssigners]
