import type { MillraceError } from '../common/errors.js'
import type { StreamingQueryProgress, StreamingQueryStatus } from '../execution/progress.js'
import type { QueryHandle } from '../execution/query-handle.js'

/** A running query, with the fields and methods of Spark's. */
export class StreamingQuery {
  readonly #handle: QueryHandle
  readonly #explain: (mode?: ExplainMode) => string
  /** Kept once: a query that ended by itself must be seen as inactive without anybody waiting for it. */
  readonly #ended: Promise<void>
  #active = true
  /** Somebody waits for the query, or has asked for its error. */
  #isWatched = false

  constructor(
    handle: QueryHandle,
    readonly name: string | null,
    explain: (mode?: ExplainMode) => string,
    onEnd: (query: StreamingQuery) => void | Promise<void>,
  ) {
    this.#handle = handle
    this.#explain = explain
    const end = async (): Promise<void> => {
      this.#active = false
      await onEnd(this)
    }
    this.#ended = handle.awaitTermination().then(end, async (error: unknown) => {
      await end()
      // An error that nobody is there to hear must not look like a stream without records.
      if (!this.#isWatched) {
        process.emitWarning(`query ${name ?? handle.id} has ended: ${String(error)}`, 'MillraceWarning')
      }
      throw error
    })
    // The error is for those who wait for the query and for `exception()`, not for the process.
    this.#ended.catch(() => {})
  }

  /** Survives restarts from the same checkpoint. */
  get id(): string {
    return this.#handle.id
  }

  /** Of this start alone. */
  get runId(): string {
    return this.#handle.runId
  }

  get isActive(): boolean {
    return this.#active
  }

  get status(): StreamingQueryStatus {
    return this.#handle.status()
  }

  get lastProgress(): StreamingQueryProgress | null {
    return this.#handle.lastProgress()
  }

  get recentProgress(): readonly StreamingQueryProgress[] {
    return this.#handle.recentProgress()
  }

  /** Calls `listener` with each new progress. */
  onProgress(listener: (progress: StreamingQueryProgress) => void): this {
    this.#handle.onProgress(listener)
    return this
  }

  /** The error that ended the query, or null. */
  exception(): MillraceError | null {
    this.#isWatched = true
    return this.#handle.exception()
  }

  /** Prints the plan and returns its text. */
  explain(mode?: ExplainMode): string {
    return this.#explain(mode)
  }

  /** Ends at an epoch; open windows stay in the checkpoint. */
  async stop(): Promise<void> {
    await this.#handle.stop()
    await this.#ended.catch(() => {})
  }

  /** Treats the input as ended: closes all windows, emits them, and stops. */
  async drain(): Promise<void> {
    this.#isWatched = true
    await this.#handle.drain()
    await this.#ended
  }

  /** Resolves when everything that was in the input at the call is in the sink. */
  processAllAvailable(): Promise<void> {
    this.#isWatched = true
    return this.#handle.processAllAvailable()
  }

  /**
   * Resolves when the query has ended and rejects with its error. With a timeout: whether it ended within
   * it, as in Spark.
   */
  awaitTermination(): Promise<void>
  awaitTermination(timeoutMs: number): Promise<boolean>
  async awaitTermination(timeoutMs?: number): Promise<boolean | void> {
    this.#isWatched = true
    if (timeoutMs === undefined) return this.#ended
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(resolve, timeoutMs, false)
    })
    try {
      return await Promise.race([this.#ended.then(() => true), late])
    } finally {
      clearTimeout(timer)
    }
  }
}

export type ExplainMode = 'simple' | 'extended' | 'codegen'
