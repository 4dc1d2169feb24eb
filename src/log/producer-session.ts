import { MillraceError } from '../common/errors.js'
import { type BatchStamp, TRANSACTIONAL } from '../record/batch-header.js'
import type { AppendableBatch, AppendGuard } from './partition-appender.js'
import type { PartitionControl } from './partition-control.js'
import { type PartitionDescriptor, partitionName } from './partition-descriptor.js'
import { fenced, ProducerEntry } from './producer-state.js'
import { OPEN_TRANSACTIONS_MAX } from './transaction-control.js'

/** Up to where a transaction has written in one partition. */
export interface TouchedPartition {
  readonly partition: PartitionDescriptor
  /** The offset behind its last record there. */
  end: number
}

/**
 * One producer id and epoch, on the one thread that appends under it. It gives the batches their sequences, and, under the append lock of each
 * partition, sees to it that nothing is appended once the coordinator has gone on to another epoch: the coordinator first moves the fence
 * and then takes the locks to write its markers, so an append is either before the marker or refused.
 */
export class ProducerSession implements AppendGuard {
  /** What the next batch's header is to say; the builders read it while they write. */
  readonly stamp: BatchStamp
  readonly touched = new Map<number, TouchedPartition>()
  readonly #entries = new Map<number, ProducerEntry>()
  readonly #fence: Int32Array | undefined
  #ended: MillraceError | undefined

  /** `fence`: holds the epoch that may append now. */
  constructor(
    readonly producerId: number,
    readonly producerEpoch: number,
    readonly isTransactional: boolean,
    fence?: SharedArrayBuffer,
  ) {
    this.#fence = fence === undefined ? undefined : new Int32Array(fence)
    this.stamp = { attributes: isTransactional ? TRANSACTIONAL : 0, producerId, producerEpoch, baseSequence: 0 }
  }

  /** Nothing more is appended; who tries is told this. */
  end(error: MillraceError): void {
    this.#ended ??= error
  }

  get endedWith(): MillraceError | undefined {
    return this.#ended
  }

  isFenced(): boolean {
    return this.#fence !== undefined && Atomics.load(this.#fence, 0) !== this.producerEpoch
  }

  before(
    control: PartitionControl,
    partition: PartitionDescriptor,
    baseOffset: number,
    batch: AppendableBatch,
  ): number {
    if (this.#ended !== undefined) throw this.#ended
    if (this.isFenced()) throw fenced(this.producerId, this.producerEpoch, Atomics.load(this.#fence as Int32Array, 0))
    const entry = this.#entry(partition.ordinal)
    const sequence = entry.nextSequence(this.producerEpoch)
    this.stamp.baseSequence = sequence
    const known = entry.check(this.producerEpoch, sequence, batch.records - 1, this.isTransactional)
    if (known >= 0) return known
    if (!this.isTransactional) return -1
    if (!control.transactions.open(this.producerId, this.producerEpoch, baseOffset)) throw tooMany(partition)
    if (!this.touched.has(partition.ordinal)) this.touched.set(partition.ordinal, { partition, end: baseOffset })
    return -1
  }

  after(_control: PartitionControl, partition: PartitionDescriptor, baseOffset: number, batch: AppendableBatch): void {
    this.#entry(partition.ordinal).appended({
      producerId: this.producerId,
      producerEpoch: this.producerEpoch,
      baseSequence: this.stamp.baseSequence,
      offsetDelta: batch.records - 1,
      baseOffset,
      timestamp: 0,
      isTransactional: this.isTransactional,
    })
    const touched = this.touched.get(partition.ordinal)
    if (touched !== undefined) touched.end = baseOffset + batch.records
  }

  #entry(ordinal: number): ProducerEntry {
    let entry = this.#entries.get(ordinal)
    if (entry === undefined) {
      entry = new ProducerEntry(this.producerId)
      this.#entries.set(ordinal, entry)
    }
    return entry
  }
}

function tooMany(partition: PartitionDescriptor): MillraceError {
  return new MillraceError(
    'TOO_MANY_TRANSACTIONS',
    `partition ${partitionName(partition)} takes no more transactions now`,
    {
      detail: `${OPEN_TRANSACTIONS_MAX} are open in it, which is the most`,
      hint: 'commit or abort some, then begin again',
      retriable: true,
    },
  )
}
