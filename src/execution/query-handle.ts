import type { Env } from '../common/env.js'
import type { MillraceError } from '../common/errors.js'
import type { StreamingQueryProgress, StreamingQueryStatus } from './progress.js'

const RECENT_MAX = 100

type Call = (name: 'stop' | 'drain' | 'processAllAvailable', query: string) => Promise<void>

/** A running query, seen from the host. */
export class QueryHandle {
  readonly #ended: Promise<void>
  readonly #recent: StreamingQueryProgress[] = []
  readonly #listeners: ((progress: StreamingQueryProgress) => void)[] = []
  readonly #watchers: ((rows: number) => void)[] = []
  #status: StreamingQueryStatus = { message: 'Initializing sources', isDataAvailable: false, isTriggerActive: false }
  #failure: MillraceError | null = null
  #isActive = true
  #end!: () => void

  constructor(
    readonly id: string,
    readonly runId: string,
    readonly name: string,
    private readonly call: Call,
    private readonly env: Env,
  ) {
    this.#ended = new Promise((resolve) => {
      this.#end = resolve
    })
  }

  get isActive(): boolean {
    return this.#isActive
  }

  status(): StreamingQueryStatus {
    return this.#status
  }

  lastProgress(): StreamingQueryProgress | null {
    return this.#recent.at(-1) ?? null
  }

  recentProgress(): readonly StreamingQueryProgress[] {
    return [...this.#recent]
  }

  exception(): MillraceError | null {
    return this.#failure
  }

  /** Ends it at an epoch; open windows stay in the checkpoint. */
  async stop(): Promise<void> {
    if (!this.#isActive) return
    await this.call('stop', this.id)
    await this.#ended
  }

  /** Treats the input as ended: closes all windows, emits, ends. Rejects with the query's error. */
  async drain(): Promise<void> {
    if (this.#isActive) await this.call('drain', this.id)
    await this.awaitTermination()
  }

  async processAllAvailable(): Promise<void> {
    if (this.#failure !== null) throw this.#failure
    if (this.#isActive) await this.call('processAllAvailable', this.id)
    // It may have ended before it was asked.
    if (this.#failure !== null) throw this.#failure
  }

  /** Rejects with the query's error. With a timeout: whether it ended within it. */
  async awaitTermination(timeoutMs?: number): Promise<boolean> {
    if (timeoutMs === undefined) await this.#ended
    else if (this.#isActive) await this.#endedWithin(timeoutMs)
    if (this.#failure !== null) throw this.#failure
    return !this.#isActive
  }

  onProgress(listener: (progress: StreamingQueryProgress) => void): void {
    this.#listeners.push(listener)
  }

  /** Input rows read so far, a few times a second, also in the middle of an epoch. */
  onAdvance(listener: (rows: number) => void): void {
    this.#watchers.push(listener)
  }

  advanced(rows: number): void {
    for (const watcher of this.#watchers) watcher(rows)
  }

  progressed(progress: StreamingQueryProgress): void {
    this.#recent.push(progress)
    if (this.#recent.length > RECENT_MAX) this.#recent.shift()
    for (const listener of this.#listeners) listener(progress)
  }

  statusChanged(status: StreamingQueryStatus): void {
    this.#status = status
  }

  terminated(error: MillraceError | undefined): void {
    this.#isActive = false
    this.#failure = error ?? null
    this.#status = {
      message: error === undefined ? 'Stopped' : `Terminated with exception: ${error.summary}`,
      isDataAvailable: false,
      isTriggerActive: false,
    }
    this.#end()
  }

  async #endedWithin(ms: number): Promise<void> {
    let cancel = (): void => undefined
    const late = new Promise<void>((resolve) => {
      cancel = this.env.timer(ms, resolve)
    })
    await Promise.race([this.#ended, late])
    cancel()
  }
}
