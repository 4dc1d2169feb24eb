/** What a streaming query says of one epoch, with Spark's fields. */
export interface StreamingQueryProgress {
  readonly id: string
  readonly runId: string
  readonly name: string | null
  /** ISO 8601, when the epoch began. */
  readonly timestamp: string
  readonly batchId: number
  readonly batchDuration: number
  readonly numInputRows: number
  readonly inputRowsPerSecond: number
  readonly processedRowsPerSecond: number
  readonly durationMs: Readonly<Record<string, number>>
  /** `max` and `watermark`, ISO 8601; absent where no event time was seen. */
  readonly eventTime: Readonly<Record<string, string>>
  readonly stateOperators: readonly StateOperatorProgress[]
  readonly sources: readonly SourceProgress[]
  readonly sink: SinkProgress
  /** Of a query with a failure policy. */
  readonly failures?: FailureProgress
}

/** Records that have failed for good in the epoch, and what became of them. */
export interface FailureProgress {
  readonly numFailed: number
  readonly numSkipped: number
  readonly numDeadLetters: number
  /** Attempts after the first, of all that have failed at first. */
  readonly numRetries: number
}

export interface StateOperatorProgress {
  readonly operatorName: string
  readonly numRowsTotal: number
  readonly numRowsUpdated: number
  readonly numRowsRemoved: number
  readonly memoryUsedBytes: number
  readonly numRowsDroppedByWatermark: number
  readonly numStateStoreInstances: number
}

export interface SourceProgress {
  readonly description: string
  /** `{ topic: { partition: offset } }` */
  readonly startOffset: OffsetsByTopic
  readonly endOffset: OffsetsByTopic
  readonly latestOffset: OffsetsByTopic
  readonly numInputRows: number
}

export type OffsetsByTopic = Readonly<Record<string, Readonly<Record<string, number>>>>

export interface SinkProgress {
  /** What kind of sink it is, and of the log sink the topic: `ConsoleSink`, `LogSink[per-page]`. */
  readonly description: string
  readonly numOutputRows: number
}

export interface StreamingQueryStatus {
  readonly message: string
  readonly isDataAvailable: boolean
  readonly isTriggerActive: boolean
}

/** Rounded half up to one decimal, as Spark prints rates; never infinite. */
export function perSecond(rows: number, ms: number): number {
  return ms <= 0 ? 0 : Math.floor((rows * 10_000) / ms + 0.5) / 10
}
