import type { Env } from '../common/env.js'
import type { TaskMetrics } from '../worker/protocol.js'
import type { QueryStart } from './engine-protocol.js'
import type { EpochWait } from './epoch-wait.js'
import { perSecond, type StreamingQueryProgress, type StreamingQueryStatus } from './progress.js'
import type { QuerySource } from './query-source.js'

const iso = (ms: number): string => new Date(ms).toISOString()

/** Makes the progress of each epoch out of what the tasks counted and when things happened. */
export class ProgressReporter {
  #last = new Map<string, TaskMetrics>()
  #lastEnd: number
  #status = ''

  constructor(
    private readonly spec: QueryStart,
    private readonly source: QuerySource,
    private readonly env: Env,
  ) {
    this.#lastEnd = env.monotonic()
  }

  /** Tells only what is new. */
  status(message: string, isDataAvailable: boolean, tell: (status: StreamingQueryStatus) => void): void {
    const isTriggerActive = message.startsWith('Processing')
    if (this.#status === message) return
    this.#status = message
    tell({ message, isDataAvailable, isTriggerActive })
  }

  begin(epoch: number, starts: readonly number[]) {
    const startedAt = this.env.monotonic()
    const timestamp = iso(this.env.now())
    const durationMs: Record<string, number> = {}
    let marked = startedAt
    return {
      mark: (name: string): void => {
        const now = this.env.monotonic()
        durationMs[name] = Math.round(now - marked)
        marked = now
      },
      end: (ends: readonly number[], wait: EpochWait): StreamingQueryProgress => {
        const now = this.env.monotonic()
        durationMs.triggerExecution = Math.round(now - startedAt)
        const progress = this.#progress(
          epoch,
          timestamp,
          durationMs,
          starts,
          ends,
          wait,
          now - startedAt,
          now - this.#lastEnd,
        )
        this.#lastEnd = now
        this.#last = wait.metrics
        return progress
      },
    }
  }

  #progress(
    epoch: number,
    timestamp: string,
    durationMs: Record<string, number>,
    starts: readonly number[],
    ends: readonly number[],
    wait: EpochWait,
    duration: number,
    sinceLast: number,
  ): StreamingQueryProgress {
    const { spec, source } = this
    const rows = ends.reduce((sum, end, i) => sum + end - (starts[i] as number), 0)
    const last = spec.plan.stages.length - 1
    const delta = (stage: number, pick: (m: TaskMetrics) => number): number => {
      let sum = 0
      for (const [name, metrics] of wait.metrics) {
        if (!name.startsWith(`${stage}/`)) continue
        const before = this.#last.get(name)
        sum += pick(metrics) - (before === undefined ? 0 : pick(before))
      }
      return sum
    }
    const total = (stage: number, pick: (m: TaskMetrics) => number): number => {
      let sum = 0
      for (const [name, metrics] of wait.metrics) if (name.startsWith(`${stage}/`)) sum += pick(metrics)
      return sum
    }
    const greatest = Math.max(...wait.positions.map((p) => p.maxEventTime))
    const eventTime: Record<string, string> = {}
    if (Number.isFinite(greatest)) eventTime.max = iso(greatest)
    if (Number.isFinite(wait.closedUntil)) eventTime.watermark = iso(wait.closedUntil)
    const stateOperators = spec.plan.stages.flatMap((stage, s) =>
      stage.head?.op !== 'finalAggregate'
        ? []
        : [
            {
              operatorName: 'stateStoreSave',
              numRowsTotal: total(s, (m) => m.stateRows),
              numRowsUpdated: delta(s, (m) => m.stateRowsUpdated),
              numRowsRemoved: delta(s, (m) => m.stateRowsRemoved),
              memoryUsedBytes: total(s, (m) => m.stateBytes),
              numRowsDroppedByWatermark: delta(0, (m) => m.lateRows) + delta(s, (m) => m.lateRows),
              numStateStoreInstances: [...wait.metrics.keys()].filter((name) => name.startsWith(`${s}/`)).length,
            },
          ],
    )
    return {
      id: spec.id,
      runId: spec.runId,
      name: spec.name === '' ? null : spec.name,
      timestamp,
      batchId: epoch,
      batchDuration: Math.round(duration),
      numInputRows: rows,
      inputRowsPerSecond: perSecond(rows, sinceLast),
      processedRowsPerSecond: perSecond(rows, duration),
      durationMs: { ...durationMs },
      eventTime,
      stateOperators,
      sources: [
        {
          description: source.description,
          startOffset: source.offsetsByTopic(starts),
          endOffset: source.offsetsByTopic(ends),
          latestOffset: source.offsetsByTopic(source.latest()),
          numInputRows: rows,
        },
      ],
      sink: { description: spec.sink.description, numOutputRows: delta(last, (m) => m.rowsOut) },
    }
  }
}
