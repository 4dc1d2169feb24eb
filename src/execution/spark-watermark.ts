import type { PhysicalPlan } from '../plan/physical-plan.js'
import { scanStages, stampOf } from '../plan/physical-plan.js'
import type { PartitionPosition, WatermarkPolicy } from '../worker/protocol.js'
import type { EpochEnd } from './query-checkpoint.js'
import type { QuerySources } from './query-sources.js'

/** The watermarks of one epoch: what is at or before `late` is late, what is at or before `evict` is closed. Epoch milliseconds. */
export interface EpochWatermarks {
  readonly late: number
  readonly evict: number
}

/** Where Spark's clock begins: what is older is late from the start. */
const BEGINNING = 0

/**
 * Spark's rule of lateness, for `.option('watermark', 'spark')`: the watermark is the greatest event time of all partitions at the end of a micro-batch less the
 * delay; the next batch closes by it, and calls late what is behind the one before. Where it has moved and nothing more has come, a batch
 * without data follows. What is late so depends on how the input was cut into batches. As in Spark, a query that goes on knows the watermark and not what it was made of: a
 * `withWatermark` counts from the beginning of time until it has data again.
 */
export class SparkWatermark {
  readonly #nodes = new Map<number, { readonly delayMs: number; readonly sources: Set<number>; greatest: number }>()
  /** By which the last epoch closed, and the one to come will. */
  #closed: number
  #next: number

  constructor(
    plan: PhysicalPlan,
    private readonly sources: QuerySources,
    private readonly policy: WatermarkPolicy,
    /** Of the last epoch that was committed. */
    committed: EpochEnd['watermarks'],
  ) {
    scanStages(plan).forEach((stage, source) => {
      const watermark = stampOf(stage)
      if (watermark === undefined) return
      const node = this.#nodes.get(watermark.node) ?? {
        delayMs: watermark.delayMs,
        sources: new Set<number>(),
        greatest: Number.NEGATIVE_INFINITY,
      }
      node.sources.add(source)
      this.#nodes.set(watermark.node, node)
    })
    this.#closed = committed?.closed ?? BEGINNING
    this.#next = committed?.next ?? BEGINNING
  }

  /** Of the epoch to come. */
  get watermarks(): EpochWatermarks {
    return { late: this.#closed, evict: this.#next }
  }

  /** Whether an epoch without data would close something. */
  get hasMoved(): boolean {
    return this.#next > this.#closed
  }

  /** An epoch by these watermarks is over; what is to be written down with it. */
  epochEnded(positions: readonly PartitionPosition[]): NonNullable<EpochEnd['watermarks']> {
    this.#closed = this.#next
    this.#advance(positions)
    return { closed: this.#closed, next: this.#next }
  }

  #advance(positions: readonly PartitionPosition[]): void {
    for (const { index, maxEventTime } of positions) {
      const { source } = this.sources.place(index)
      for (const node of this.#nodes.values()) {
        if (node.sources.has(source)) node.greatest = Math.max(node.greatest, maxEventTime)
      }
    }
    const times = [...this.#nodes.values()].map(({ greatest, delayMs }) =>
      greatest === Number.NEGATIVE_INFINITY ? BEGINNING : greatest - delayMs,
    )
    if (times.length === 0) return
    this.#next = Math.max(this.#next, this.policy === 'min' ? Math.min(...times) : Math.max(...times))
  }
}
