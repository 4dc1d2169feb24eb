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
  readonly #tasks: Set<string>
  #sinkReached: boolean

  constructor(
    readonly epoch: number,
    readonly startedAt: number,
    tasks: readonly string[],
    stateLogs: number,
    needsSink: boolean,
  ) {
    this.#tasks = new Set(tasks)
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
    this.#tasks.delete(name)
    this.#check()
  }

  /** Tasks whose barrier has not come. */
  get missing(): readonly string[] {
    return [...this.#tasks]
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
    if (this.#tasks.size === 0 && this.#stateLogs === 0 && this.#sinkReached) this.#resolve()
  }
}
