import { type PartitionAppender, partitionError } from '../log/partition-appender.js'
import { PartitionStatus } from '../log/partition-control.js'

/** What an acknowledgement says: that the bytes are the operating system's, or what the topic's fsync mode promises. */
export type AckLevel = 'written' | 'promised'

export interface ExpectOptions {
  readonly level?: AckLevel
  /** On the monotonic clock: until then a full disk is waited out, since the records are in the log and will be written. */
  readonly deliverBy?: number
}

interface Expected {
  /** Partition, and the offset up to which it must be acknowledged. */
  readonly targets: readonly (readonly [partition: number, offset: number])[]
  done: number
  readonly acked: () => void
  readonly refused: (error: unknown) => void
  readonly level: AckLevel
  readonly deliverBy: number
}

/**
 * Appends that wait for what their topic's fsync mode promises. Looked at when the host's doorbell rings; the acknowledged
 * offset of a partition is read once a look, however many wait for it.
 */
export class SendAcks {
  readonly #appenders: readonly PartitionAppender[]
  readonly #acked: Float64Array
  readonly #now: () => number
  #waiting: Expected[] = []

  /** `now`: the monotonic clock. */
  constructor(appenders: readonly PartitionAppender[], now: () => number) {
    this.#appenders = appenders
    this.#now = now
    this.#acked = new Float64Array(appenders.length)
  }

  get waiting(): number {
    return this.#waiting.length
  }

  expect(
    targets: Expected['targets'],
    acked: () => void,
    refused: (error: unknown) => void,
    { level = 'promised', deliverBy = Number.NEGATIVE_INFINITY }: ExpectOptions = {},
  ): void {
    this.#waiting.push({ targets, done: 0, acked, refused, level, deliverBy })
  }

  settle(): void {
    if (this.#waiting.length === 0) return
    this.#acked.fill(-1)
    const waiting = this.#waiting
    // Who is called back may send again, and then expects in the new list.
    this.#waiting = []
    const still: Expected[] = []
    for (const expected of waiting) if (!this.#settleOne(expected)) still.push(expected)
    this.#waiting = this.#waiting.length === 0 ? still : [...still, ...this.#waiting]
  }

  refuseAll(error: unknown): void {
    for (const expected of this.#waiting.splice(0)) expected.refused(error)
  }

  #settleOne(expected: Expected): boolean {
    const { targets } = expected
    while (expected.done < targets.length) {
      const [partition, offset] = targets[expected.done] as readonly [number, number]
      if (this.#ackedOffset(partition, expected.level) < offset) {
        const appender = this.#appenders[partition] as PartitionAppender
        const status = appender.control.status()
        if (status === PartitionStatus.ok) return false
        if (status === PartitionStatus.noSpace && this.#now() < expected.deliverBy) return false
        // The status may have come with the last acknowledgement: look once more before giving up.
        if (reached(appender, expected.level) < offset) {
          expected.refused(partitionError(appender.descriptor, status))
          return true
        }
      }
      expected.done += 1
    }
    expected.acked()
    return true
  }

  #ackedOffset(partition: number, level: AckLevel): number {
    if (level === 'written') return reached(this.#appenders[partition] as PartitionAppender, level)
    const known = this.#acked[partition] as number
    if (known >= 0) return known
    const acked = (this.#appenders[partition] as PartitionAppender).ackedOffset()
    this.#acked[partition] = acked
    return acked
  }
}

function reached(appender: PartitionAppender, level: AckLevel): number {
  if (level === 'promised' || appender.descriptor.ackWhen === 'appended') return appender.ackedOffset()
  return appender.control.writtenOffset()
}
