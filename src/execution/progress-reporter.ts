import type { Env } from '../common/env.js'
import type { FailurePolicy } from '../dead-letter/failure-policy.js'
import { hasState, type Stage, scanStages } from '../plan/physical-plan.js'
import type { TaskMetrics } from '../worker/protocol.js'
import type { QueryStart } from './engine-protocol.js'
import type { EpochWait } from './epoch-wait.js'
import { type FailureProgress, perSecond, type StreamingQueryProgress, type StreamingQueryStatus } from './progress.js'
import type { QuerySources } from './query-sources.js'
import type { SinkCounts } from './run-failures.js'

const noCounts: SinkCounts = { failedRows: 0, retries: 0 }

const iso = (ms: number): string => new Date(ms).toISOString()

const sum = (of: readonly number[], value: (n: number) => number): number => of.reduce((all, n) => all + value(n), 0)

const rowsBetween = (starts: readonly number[], ends: readonly number[]): number =>
  ends.reduce((rows, end, i) => rows + end - (starts[i] as number), 0)

const feeding = ({ input }: Stage): readonly number[] => (input.kind === 'scan' ? [] : input.from)

/** Makes the progress of each epoch out of what the tasks counted and when things happened. */
export class ProgressReporter {
  #last = new Map<string, TaskMetrics>()
  #lastEnd: number
  #status = ''

  constructor(
    private readonly spec: QueryStart,
    private readonly source: QuerySources,
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
      end: (ends: readonly number[], wait: EpochWait, sink = noCounts): StreamingQueryProgress => {
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
          sink,
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
    sink: SinkCounts,
  ): StreamingQueryProgress {
    const { spec, source } = this
    const latest = source.latest()
    const sinkStages = spec.plan.stages.filter(({ output }) => output.kind === 'sink').map(({ id }) => id)
    const delta = (stage: number, pick: (m: TaskMetrics) => number): number => {
      let rows = 0
      for (const [name, metrics] of wait.metrics) {
        if (!name.startsWith(`${stage}/`)) continue
        const before = this.#last.get(name)
        rows += pick(metrics) - (before === undefined ? 0 : pick(before))
      }
      return rows
    }
    const scans = scanStages(spec.plan)
    const rowsOf = source.all.map(({ files }, i) =>
      // Offsets of files are bytes.
      files === undefined
        ? rowsBetween(source.ofSource(i, starts), source.ofSource(i, ends))
        : delta(scans[i]?.id ?? 0, (m) => m.rowsIn),
    )
    const rows = sum(rowsOf, (n) => n)
    const total = (stage: number, pick: (m: TaskMetrics) => number): number => {
      let all = 0
      for (const [name, metrics] of wait.metrics) if (name.startsWith(`${stage}/`)) all += pick(metrics)
      return all
    }
    const greatest = Math.max(...wait.positions.map((p) => p.maxEventTime))
    const eventTime: Record<string, string> = {}
    if (Number.isFinite(greatest)) eventTime.max = iso(greatest)
    const watermark = Math.min(...wait.closedUntil.values())
    if (Number.isFinite(watermark)) eventTime.watermark = iso(watermark)
    const stateOperators = spec.plan.stages.flatMap((stage, s) =>
      !hasState(stage.head)
        ? []
        : [
            {
              operatorName: operatorName(stage),
              numRowsTotal: total(s, (m) => m.stateRows),
              numRowsUpdated: delta(s, (m) => m.stateRowsUpdated),
              numRowsRemoved: delta(s, (m) => m.stateRowsRemoved),
              memoryUsedBytes: total(s, (m) => m.stateBytes),
              numRowsDroppedByWatermark:
                delta(s, (m) => m.lateRows) + sum(feeding(stage), (from) => delta(from, (m) => m.lateRows)),
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
      sources: source.all.map(({ description }, i) => ({
        description,
        startOffset: source.offsetsByTopic(i, starts),
        endOffset: source.offsetsByTopic(i, ends),
        latestOffset: source.offsetsByTopic(i, latest),
        numInputRows: rowsOf[i] ?? 0,
      })),
      sink: { description: spec.sink.description, numOutputRows: sum(sinkStages, (s) => delta(s, (m) => m.rowsOut)) },
      ...(spec.failures === undefined ? {} : { failures: this.#failures(spec.failures, delta, sink) }),
    }
  }

  #failures(
    { then }: FailurePolicy,
    delta: (stage: number, pick: (m: TaskMetrics) => number) => number,
    sink: SinkCounts,
  ): FailureProgress {
    const stages = this.spec.plan.stages.map(({ id }) => id)
    const numFailed = sink.failedRows + sum(stages, (s) => delta(s, (m) => m.failedRows))
    return {
      numFailed,
      numSkipped: then === 'skip' ? numFailed : 0,
      numDeadLetters: then === 'dead-letter' ? numFailed : 0,
      numRetries: sink.retries + sum(stages, (s) => delta(s, (m) => m.retries)),
    }
  }
}

/** As Spark calls them. */
function operatorName({ head }: Stage): string {
  if (head?.op === 'join') return 'symmetricHashJoin'
  if (head?.op === 'transformWithState') return 'transformWithStateExec'
  if (head?.op !== 'deduplicate') return 'stateStoreSave'
  return head.within === undefined ? 'dedupe' : 'dedupeWithinWatermark'
}
