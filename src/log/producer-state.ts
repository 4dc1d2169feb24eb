import { MillraceError } from '../common/errors.js'
import type { ProducerSnapshotEntry } from './producer-snapshot.js'

/**
 * What a partition knows of its producers, with Kafka's rules: a producer id has an epoch and a sequence of its own in every partition.
 * A batch must follow the one before; one of the last five that comes again is answered with the offset that it has; an older epoch is fenced.
 * A transaction is open from its first batch to its marker. Everything here follows from the record batches alone, so it can be built anew from them.
 */

/** Batches of a producer id that are known again, as in Kafka: a client has no more than five on their way. */
export const BATCHES_REMEMBERED = 5

/** Sequences are 32 bits without a sign, and begin again at 0 behind this one. */
export const SEQUENCE_MAX = 0x7fff_ffff

/** Epochs are 16 bits; the greatest is never given, so that the next one can always be said. */
export const PRODUCER_EPOCH_MAX = 0x7ffe

const NO_SEQUENCE = -1
const NO_EPOCH = -1

export function advanceSequence(sequence: number, by: number): number {
  const next = sequence + by
  return next > SEQUENCE_MAX ? next - SEQUENCE_MAX - 1 : next
}

/** A batch of one producer id, as its header says. */
export interface SequencedBatch {
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  /** Last less first offset, which is as far as the sequence moves too. */
  readonly offsetDelta: number
  readonly baseOffset: number
  readonly timestamp: number
  readonly isTransactional: boolean
}

interface RememberedBatch {
  readonly lastSequence: number
  readonly lastOffset: number
  readonly offsetDelta: number
  readonly timestamp: number
}

/** How a transaction ended in one partition. */
export interface CompletedTransaction {
  readonly producerId: number
  readonly firstOffset: number
  /** Of the marker. */
  readonly lastOffset: number
  readonly isAborted: boolean
}

/** One producer id in one partition. */
export class ProducerEntry {
  producerEpoch = NO_EPOCH
  coordinatorEpoch = -1
  /** Of its open transaction; -1 = none. */
  currentFirstOffset = -1
  lastTimestamp = -1
  /** The oldest first. */
  #batches: RememberedBatch[] = []

  constructor(readonly producerId: number) {}

  get lastSequence(): number {
    return this.#batches[this.#batches.length - 1]?.lastSequence ?? NO_SEQUENCE
  }

  /** The sequence that the next batch of `epoch` must begin with. */
  nextSequence(epoch: number): number {
    const last = this.lastSequence
    return epoch !== this.producerEpoch || last === NO_SEQUENCE ? 0 : advanceSequence(last, 1)
  }

  /** The base offset of the batch where it is there already, or -1: it may be appended. Throws where it may not. */
  check(epoch: number, baseSequence: number, offsetDelta: number, isTransactional: boolean): number {
    if (epoch < this.producerEpoch) throw fenced(this.producerId, epoch, this.producerEpoch)
    if (this.currentFirstOffset >= 0 && !isTransactional) throw outsideTransaction(this.producerId)
    // After the state was lost (retention, expiry) nothing is known, and any sequence is as good as another.
    if (this.producerEpoch === NO_EPOCH) return -1
    if (epoch !== this.producerEpoch) {
      if (baseSequence !== 0) throw outOfOrder(this.producerId, epoch, 0, baseSequence)
      return -1
    }
    const duplicate = this.#duplicate(baseSequence, offsetDelta)
    if (duplicate !== undefined) return duplicate.lastOffset - duplicate.offsetDelta
    const expected = this.nextSequence(epoch)
    if (baseSequence !== expected) throw outOfOrder(this.producerId, epoch, expected, baseSequence)
    return -1
  }

  appended(batch: SequencedBatch): void {
    if (batch.producerEpoch !== this.producerEpoch) this.#beginEpoch(batch.producerEpoch)
    const { offsetDelta, baseOffset, timestamp } = batch
    this.#batches.push({
      lastSequence: advanceSequence(batch.baseSequence, offsetDelta),
      lastOffset: baseOffset + offsetDelta,
      offsetDelta,
      timestamp,
    })
    if (this.#batches.length > BATCHES_REMEMBERED) this.#batches.shift()
    this.lastTimestamp = timestamp
    if (batch.isTransactional && this.currentFirstOffset < 0) this.currentFirstOffset = baseOffset
  }

  /** The transaction that the marker ends; undefined where none was open. */
  ended(
    marker: { readonly producerEpoch: number; readonly coordinatorEpoch: number; readonly isAbort: boolean },
    offset: number,
    timestamp: number,
  ): CompletedTransaction | undefined {
    if (marker.producerEpoch > this.producerEpoch) this.#beginEpoch(marker.producerEpoch)
    this.coordinatorEpoch = Math.max(this.coordinatorEpoch, marker.coordinatorEpoch)
    this.lastTimestamp = timestamp
    const firstOffset = this.currentFirstOffset
    this.currentFirstOffset = -1
    if (firstOffset < 0) return undefined
    return { producerId: this.producerId, firstOffset, lastOffset: offset, isAborted: marker.isAbort }
  }

  /** Kafka's snapshot keeps the last batch alone. */
  toSnapshot(): ProducerSnapshotEntry {
    const last = this.#batches[this.#batches.length - 1]
    return {
      producerId: this.producerId,
      producerEpoch: this.producerEpoch,
      lastSequence: last?.lastSequence ?? NO_SEQUENCE,
      lastOffset: last?.lastOffset ?? -1,
      offsetDelta: last?.offsetDelta ?? 0,
      timestamp: this.lastTimestamp,
      coordinatorEpoch: this.coordinatorEpoch,
      currentFirstOffset: this.currentFirstOffset,
    }
  }

  static fromSnapshot(snapshot: ProducerSnapshotEntry): ProducerEntry {
    const entry = new ProducerEntry(snapshot.producerId)
    entry.producerEpoch = snapshot.producerEpoch
    entry.coordinatorEpoch = snapshot.coordinatorEpoch
    entry.currentFirstOffset = snapshot.currentFirstOffset
    entry.lastTimestamp = snapshot.timestamp
    const { lastSequence, lastOffset, offsetDelta, timestamp } = snapshot
    if (lastSequence !== NO_SEQUENCE) entry.#batches.push({ lastSequence, lastOffset, offsetDelta, timestamp })
    return entry
  }

  #beginEpoch(epoch: number): void {
    this.producerEpoch = epoch
    this.#batches = []
  }

  #duplicate(baseSequence: number, offsetDelta: number): RememberedBatch | undefined {
    const lastSequence = advanceSequence(baseSequence, offsetDelta)
    return this.#batches.find((b) => b.lastSequence === lastSequence && b.offsetDelta === offsetDelta)
  }
}

/** All producer ids of one partition. */
export class ProducerStates {
  readonly #entries = new Map<number, ProducerEntry>()

  get size(): number {
    return this.#entries.size
  }

  entry(producerId: number): ProducerEntry | undefined {
    return this.#entries.get(producerId)
  }

  /** The base offset of a batch that is there already, or -1. Throws where it may not be appended. */
  check(batch: Omit<SequencedBatch, 'baseOffset' | 'timestamp'>): number {
    const entry = this.#entries.get(batch.producerId)
    if (entry === undefined) return -1
    return entry.check(batch.producerEpoch, batch.baseSequence, batch.offsetDelta, batch.isTransactional)
  }

  appended(batch: SequencedBatch): void {
    this.#made(batch.producerId).appended(batch)
  }

  ended(
    marker: {
      readonly producerId: number
      readonly producerEpoch: number
      readonly coordinatorEpoch: number
      readonly isAbort: boolean
    },
    offset: number,
    timestamp: number,
  ): CompletedTransaction | undefined {
    return this.#made(marker.producerId).ended(marker, offset, timestamp)
  }

  /** Open transactions, in the order of their first offsets. */
  open(): ProducerEntry[] {
    const open: ProducerEntry[] = []
    for (const entry of this.#entries.values()) if (entry.currentFirstOffset >= 0) open.push(entry)
    return open.sort((a, b) => a.currentFirstOffset - b.currentFirstOffset)
  }

  /** First offset of the oldest open transaction, or `logEndOffset` where none is open. */
  lastStableOffset(logEndOffset: number): number {
    let least = logEndOffset
    for (const { currentFirstOffset } of this.#entries.values())
      if (currentFirstOffset >= 0 && currentFirstOffset < least) least = currentFirstOffset
    return least
  }

  /** Forgets who has written nothing since `before`; an open transaction is never forgotten. How many were. */
  expire(before: number): number {
    let expired = 0
    for (const [id, entry] of this.#entries) {
      if (entry.currentFirstOffset >= 0 || entry.lastTimestamp >= before) continue
      this.#entries.delete(id)
      expired += 1
    }
    return expired
  }

  toSnapshot(): ProducerSnapshotEntry[] {
    return [...this.#entries.values()].map((entry) => entry.toSnapshot())
  }

  static fromSnapshot(snapshot: readonly ProducerSnapshotEntry[]): ProducerStates {
    const states = new ProducerStates()
    for (const entry of snapshot) states.#entries.set(entry.producerId, ProducerEntry.fromSnapshot(entry))
    return states
  }

  #made(producerId: number): ProducerEntry {
    let entry = this.#entries.get(producerId)
    if (entry === undefined) {
      entry = new ProducerEntry(producerId)
      this.#entries.set(producerId, entry)
    }
    return entry
  }
}

export function fenced(producerId: number, epoch: number, current: number): MillraceError {
  return new MillraceError('PRODUCER_FENCED', `producer id ${producerId} has been taken over`, {
    detail: `this producer has epoch ${epoch}, the current epoch is ${current}`,
    hint: 'another producer with the same transactionalId has begun, or the transaction was aborted by its timeout or by request: abort it, and begin another',
  })
}

function outOfOrder(producerId: number, epoch: number, expected: number, found: number): MillraceError {
  return new MillraceError(
    'OUT_OF_ORDER_SEQUENCE',
    `a batch of producer id ${producerId} does not follow the last one`,
    {
      detail: `epoch ${epoch}: found sequence ${found}, expected ${expected}`,
      hint: 'a batch before it was lost, or it is older than the last five; begin with a new producer',
    },
  )
}

function outsideTransaction(producerId: number): MillraceError {
  return new MillraceError('INVALID_TRANSACTION_STATE', `producer id ${producerId} has a transaction open here`, {
    detail: 'found a batch outside of it',
    hint: 'commit or abort the transaction first',
  })
}
