import { expect, test } from 'vitest'
import { nodeEnv } from '../../src/common/env.js'
import type { QueryStart } from '../../src/execution/engine-protocol.js'
import { EpochWait } from '../../src/execution/epoch-wait.js'
import { ProgressReporter } from '../../src/execution/progress-reporter.js'
import { QuerySource } from '../../src/execution/query-source.js'
import { QuerySources } from '../../src/execution/query-sources.js'
import { planQuery } from '../../src/plan/planner.js'
import type { TaskMetrics } from '../../src/worker/protocol.js'
import { planOptions, scan } from '../plan/plans.js'

const metrics = (rowsIn: number, rowsOut: number): TaskMetrics => ({
  rowsIn,
  rowsOut,
  lateRows: 0,
  nullEventTimes: 0,
  stateRows: 0,
  stateBytes: 0,
  stateRowsUpdated: 0,
  stateRowsRemoved: 0,
  minEventTime: Number.POSITIVE_INFINITY,
  maxEventTime: Number.NEGATIVE_INFINITY,
  failedRows: 0,
  retries: 0,
  dueAt: Number.POSITIVE_INFINITY,
})

const spec: QueryStart = {
  id: 'q',
  runId: 'r',
  name: '',
  plan: planQuery(scan(true), planOptions({ streaming: true, mode: 'microBatch' })).physical,
  tables: {},
  mode: { kind: 'microBatch', intervalMs: 0 },
  checkpoint: undefined,
  sink: { kind: 'noop', description: 'NoopSink' },
  options: {},
  workerSlots: [2],
}

function reporter() {
  let clock = 1000
  const env = { ...nodeEnv, monotonic: () => clock, now: () => Date.UTC(2026, 0, 1) + clock }
  const source = new QuerySource(
    { format: 'memory', streaming: true, schema: spec.plan.schema, tableId: '0', options: {} },
    [],
    [],
    env,
    0,
  )
  return {
    progress: new ProgressReporter(spec, new QuerySources([source]), env),
    pass: (ms: number): void => {
      clock += ms
    },
  }
}

const epochOf = (rows: TaskMetrics): EpochWait => {
  const wait = new EpochWait(0, 0, ['0/0'], 0, false)
  wait.taskReached('0/0', [], undefined, rows)
  return wait
}

test('rows a second came in since the epoch before ended, and were processed since this one began', () => {
  const { progress, pass } = reporter()
  pass(3000)
  const first = progress.begin(0, [0])
  pass(500)
  first.mark('addBatch')
  pass(500)
  first.mark('commitOffsets')
  expect(first.end([600], epochOf(metrics(600, 550)))).toMatchObject({
    batchId: 0,
    timestamp: new Date(Date.UTC(2026, 0, 1) + 4000).toISOString(),
    numInputRows: 600,
    // 600 in the four seconds since the query was started, and in the one of the epoch.
    inputRowsPerSecond: 150,
    processedRowsPerSecond: 600,
    batchDuration: 1000,
    durationMs: { addBatch: 500, commitOffsets: 500, triggerExecution: 1000 },
    sources: [{ numInputRows: 600 }],
    sink: { numOutputRows: 550 },
  })
  pass(1000)
  const second = progress.begin(1, [600])
  pass(1000)
  expect(second.end([700], epochOf(metrics(700, 640)))).toMatchObject({
    batchId: 1,
    numInputRows: 100,
    inputRowsPerSecond: 50,
    processedRowsPerSecond: 100,
    sources: [{ numInputRows: 100 }],
    // Tasks count from their beginning; progress tells what the epoch added.
    sink: { numOutputRows: 90 },
  })
})

test('an epoch that takes no time has no rate, and none is rounded beyond a tenth', () => {
  const { progress, pass } = reporter()
  expect(progress.begin(0, [0]).end([5], epochOf(metrics(5, 5)))).toMatchObject({
    inputRowsPerSecond: 0,
    processedRowsPerSecond: 0,
  })
  const next = progress.begin(1, [5])
  pass(3000)
  expect(next.end([6], epochOf(metrics(6, 6)))).toMatchObject({ inputRowsPerSecond: 0.3, processedRowsPerSecond: 0.3 })
})
