import type { PartitionPosition, TaskMetrics } from '../worker/protocol.js'

/** What has to be true of an epoch before it can be committed, and whether it is. */
export class EpochWait {
  readonly positions: PartitionPosition[] = []
  readonly metrics = new Map<string, TaskMetrics>()
  /** The state to be written down with the epoch. */
  readonly state: { readonly stage: number; readonly block: Uint8Array }[] = []
  /** By stateful stage. */
  readonly closedUntil = new Map<number, number>()
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
    /** Of a task with state. */
    closed: { readonly stage: number; readonly until: number } | undefined,
    metrics: TaskMetrics,
  ): void {
    this.positions.push(...positions)
    if (closed !== undefined) {
      const { stage, until } = closed
      this.closedUntil.set(stage, Math.max(until, this.closedUntil.get(stage) ?? Number.NEGATIVE_INFINITY))
    }
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
