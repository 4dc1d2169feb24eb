import type { PartitionPosition, TaskMetrics } from '../worker/protocol.js'

/** What has to be true of an epoch before it can be committed, and whether it is. */
export class EpochWait {
  readonly positions: PartitionPosition[] = []
  readonly metrics = new Map<string, TaskMetrics>()
  /** The state to be written down with the epoch. */
  readonly state: { readonly stage: number; readonly block: Uint8Array }[] = []
  closedUntil = Number.NEGATIVE_INFINITY
  readonly done: Promise<void>
  #resolve!: () => void
  #stateLogs: number
  #tasks: number
  #sinkReached: boolean

  constructor(
    readonly epoch: number,
    readonly startedAt: number,
    tasks: number,
    stateLogs: number,
    needsSink: boolean,
  ) {
    this.#tasks = tasks
    this.#stateLogs = stateLogs
    this.#sinkReached = !needsSink
    this.done = new Promise((resolve) => {
      this.#resolve = resolve
    })
  }

  taskReached(
    name: string,
    positions: readonly PartitionPosition[],
    closedUntil: number | undefined,
    metrics: TaskMetrics,
  ): void {
    this.positions.push(...positions)
    if (closedUntil !== undefined) this.closedUntil = Math.max(this.closedUntil, closedUntil)
    this.metrics.set(name, metrics)
    this.#tasks -= 1
    this.#check()
  }

  stateLogReached(): void {
    this.#stateLogs -= 1
    this.#check()
  }

  sinkReached(): void {
    this.#sinkReached = true
    this.#check()
  }

  #check(): void {
    if (this.#tasks === 0 && this.#stateLogs === 0 && this.#sinkReached) this.#resolve()
  }
}
