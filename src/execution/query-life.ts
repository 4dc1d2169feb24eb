import { EpochMemory } from '../checkpoint/epoch-memory.js'
import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import type { FromWorker } from '../worker/protocol.js'
import { CaughtUp } from './caught-up.js'
import type { QueryStart } from './engine-protocol.js'
import type { SinkFailed } from './host-sink.js'
import { queryFailed } from './query-errors.js'
import { QueryRun } from './query-run.js'
import type { QuerySurroundings, RunLife } from './run-life.js'

/** Runs one after the other that lose a worker before they have committed anything: then it is the query that kills them. */
export const LOST_RUNS_MAX = 3

/** The workers, as a query that has lost one needs them. */
export interface WorkerRoster {
  /** Of those among `slots` that are not given up; resolves when all of them can be sent messages. */
  ready(slots: readonly number[]): Promise<readonly number[]>
}

export interface LifeSurroundings extends QuerySurroundings {
  readonly env: Env
  readonly workers: WorkerRoster
}

/**
 * One query from its start to its end, on the engine thread. As long as no worker dies that is one run. Where one does, its run ends, and another goes on from the
 * last committed epoch on the workers that there are then: an epoch that was cut short is run again with the same ends, rows that a sink has been shown early it is
 * shown again, and whoever waits for something goes on waiting.
 */
export class QueryLife {
  readonly started: Promise<void>
  readonly ended: Promise<void>
  #run: QueryRun
  #life: RunLife
  #lostRuns = 0
  #failure: MillraceError | undefined

  constructor(
    private readonly start: QueryStart,
    private readonly around: LifeSurroundings,
  ) {
    const isBatch = start.mode.kind === 'batch'
    const memory = start.checkpoint === undefined && !isBatch ? new EpochMemory() : undefined
    this.#life = { attempt: 0, caughtUp: new CaughtUp(), memory, wish: 'none', target: undefined }
    this.#run = new QueryRun(start, around, this.#life)
    this.started = this.#startedOnce()
    this.ended = this.#live()
  }

  get spec(): QueryStart {
    return this.start
  }

  get failure(): MillraceError | undefined {
    return this.#failure
  }

  get waitsFor(): string {
    return this.#run.waitsFor
  }

  onMessage(message: FromWorker): void {
    // Of a run that is over there may still be some on the way.
    if (message.query === this.#run.id) this.#run.onMessage(message)
  }

  onSinkReached(epoch: number, attempt: number): void {
    this.#run.onSinkReached(epoch, attempt)
  }

  onSinkFailures(failed: SinkFailed, attempt: number): void {
    this.#run.onSinkFailures(failed, attempt)
  }

  onDelivered(epoch: number): void {
    this.#run.onDelivered(epoch)
  }

  onRing(): void {
    this.#run.onRing()
  }

  fail(error: unknown): void {
    // Between two runs there is nobody else to hear it.
    this.#failure ??= queryFailed(this.start.name, error)
    this.#run.fail(error)
  }

  /** `culprit`: the run whose function has ended the worker. It would do so again. */
  workerDied(slot: number, error: MillraceError, culprit: string | undefined): void {
    if (culprit === this.#run.id) this.fail(error)
    else if (this.#run.runsOn(slot)) this.#run.workerDied(error)
  }

  topicDeleted(name: string, id: string): void {
    this.#run.topicDeleted(name, id)
    if (this.#run.failure !== undefined && this.#run.lost === undefined) this.#failure ??= this.#run.failure
  }

  topicGrown(topic: TopicDescriptor): void {
    this.#run.topicGrown(topic)
  }

  /** See QueryRun.end. */
  async end(wish: 'stop' | 'drain'): Promise<void> {
    void this.#run.end(wish)
    await this.ended
    if (wish === 'drain' && this.#failure !== undefined) throw this.#failure
  }

  processAllAvailable(): Promise<void> {
    return this.#failure === undefined ? this.#run.processAllAvailable() : Promise.reject(this.#failure)
  }

  async #startedOnce(): Promise<void> {
    await this.#run.started
    // A first run that has lost a worker before it began is followed by one that begins.
    while (this.#run.lost !== undefined && this.#failure === undefined) {
      await Promise.race([this.ended, this.#nextRun])
      await this.#run.started
    }
  }

  #nextRun: Promise<void> = Promise.resolve()

  async #live(): Promise<void> {
    for (;;) {
      let begun!: () => void
      this.#nextRun = new Promise((resolve) => {
        begun = resolve
      })
      await this.#run.ended
      const { lost, failure } = this.#run
      if (lost === undefined) this.#failure ??= failure
      else await this.#goOn(lost)
      begun()
      if (lost === undefined || this.#failure !== undefined) break
    }
    this.#life.caughtUp.end(this.#failure)
  }

  async #goOn(lost: MillraceError): Promise<void> {
    this.#lostRuns = this.#run.committed > 0 ? 1 : this.#lostRuns + 1
    const reason = this.#whyNot(lost)
    if (reason !== undefined) {
      this.#failure ??= reason
      return
    }
    try {
      const slots = await this.around.workers.ready(this.start.workerSlots)
      if (slots.length === 0) throw lost
      if (this.#failure !== undefined) return
      this.#life = { ...this.#life, attempt: this.#life.attempt + 1 }
      this.#run = new QueryRun({ ...this.start, workerSlots: slots }, this.around, this.#life)
    } catch (error) {
      this.#failure ??= queryFailed(this.start.name, error)
    }
  }

  /** Why the query does not go on. */
  #whyNot(lost: MillraceError): MillraceError | undefined {
    const { mode, sink } = this.start
    // What has been done with rows that were given cannot be undone; an epoch that came again would do it twice.
    if (mode.kind === 'batch' && sink.kind === 'rows' && sink.forgets !== true) return lost
    if (this.#lostRuns < LOST_RUNS_MAX) return undefined
    return new MillraceError(lost.code, lost.summary, {
      detail: `${LOST_RUNS_MAX} times in a row, each time before the query had committed an epoch; the last time by: ${lost.detail ?? 'nothing that was said'}`,
      hint: 'something in the query ends its worker: its functions, or what they need of memory; started again, it goes on from its checkpoint',
      retriable: true,
      cause: lost,
    })
  }
}
