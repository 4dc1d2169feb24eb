import type { TaskMetrics } from './protocol.js'

/**
 * A stage on one worker. The scheduler calls `step` again and again; a step does a bounded piece of work
 * (a few milliseconds) and says whether it got anywhere. A task never blocks: without input or without room
 * for output it returns false, and is called again after the worker's bell has rung.
 */
export interface Task {
  step(): boolean
  /** Promises of the user's code are under way: the thread must not sleep where its event loop does not turn. */
  readonly isWaiting?: boolean
  close(): void
}

export interface Counters {
  rowsIn: number
  rowsOut: number
  lateRows: number
  nullEventTimes: number
  stateRows: number
  stateBytes: number
  stateRowsUpdated: number
  stateRowsRemoved: number
  minEventTime: number
  maxEventTime: number
  failedRows: number
  retries: number
  /** When a timer of processing time expires next; Infinity where there is none. */
  dueAt: number
}

export function newCounters(): Counters {
  return {
    rowsIn: 0,
    rowsOut: 0,
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
  }
}

export function toMetrics(counters: Counters): TaskMetrics {
  return { ...counters }
}
