import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import type { FailurePolicy } from '../dead-letter/failure-policy.js'
import { FailureWindow } from '../dead-letter/failure-window.js'
import type { FromWorker, TaskMetrics } from '../worker/protocol.js'
import { taskName } from './deployment.js'
import type { SinkFailed } from './host-sink.js'
import type { LetterWriter } from './letter-writer.js'

/** In the middle of an epoch nothing is judged by fewer failures: other tasks may have read more than they have said. */
const FAILED_MIN = 1000

interface Told {
  rowsIn: number
  failedRows: number
}

export type SinkCounts = Pick<SinkFailed, 'failedRows' | 'retries'>

/** What has failed in one run of a query, on the engine thread: letters on their way, and whether it is too much. */
export class RunFailures {
  readonly #window: FailureWindow
  /** By task, what it has said last: counts since it was deployed. */
  readonly #told = new Map<string, Told>()
  #sink: SinkCounts = { failedRows: 0, retries: 0 }

  constructor(
    private readonly query: string,
    private readonly policy: FailurePolicy,
    private readonly letters: LetterWriter | undefined,
    private readonly env: Env,
  ) {
    this.#window = new FailureWindow(policy.windowMs)
  }

  /** Throws where so much has failed that the query is to end. `taken`: so many letters are in the log. */
  onFailures(message: FromWorker & { readonly type: 'failures' }, taken: (letters: number) => void): void {
    this.#count(taskName(message.stage, message.task), message)
    this.letters?.write(message.epoch, message.letters, taken)
    if (this.#window.failed >= FAILED_MIN) this.#judge(false)
  }

  /** What the sink has given up, in an epoch that is not committed, or, of a durable one, not delivered. */
  onSinkFailures({ epoch, failedRows, retries, letters }: SinkFailed): void {
    this.#sink = { failedRows: this.#sink.failedRows + failedRows, retries: this.#sink.retries + retries }
    this.#window.add(this.env.monotonic(), 0, failedRows)
    this.letters?.write(epoch, letters, () => undefined)
  }

  /** Of the sink, since it was asked last. */
  takeSinkCounts(): SinkCounts {
    const counts = this.#sink
    this.#sink = { failedRows: 0, retries: 0 }
    return counts
  }

  /** All tasks are at the end of an epoch. `all`: of a query that has come to its end. */
  epochEnded(metrics: ReadonlyMap<string, TaskMetrics>, all: boolean): void {
    for (const [task, counts] of metrics) this.#count(task, counts)
    this.#judge(all)
  }

  /** The engine's bell, or a transaction has begun. */
  rung(): void {
    this.letters?.rung()
  }

  #count(task: string, { rowsIn, failedRows }: Told): void {
    const before = this.#told.get(task) ?? { rowsIn: 0, failedRows: 0 }
    // What a task says in the middle of a step may be behind what it has said of its rows before.
    const rows = Math.max(0, rowsIn - before.rowsIn)
    this.#window.add(this.env.monotonic(), rows, failedRows - before.failedRows)
    this.#told.set(task, { rowsIn: before.rowsIn + rows, failedRows })
  }

  #judge(all: boolean): void {
    const { stopAbove, windowMs } = this.policy
    if (stopAbove === undefined || !this.#window.isAbove(stopAbove, all)) return
    const { failed, rows } = this.#window
    const name = this.query === '' ? 'a query without a name' : `query ${this.query}`
    throw new MillraceError('TOO_MANY_FAILURES', `${name} has stopped: too many of its records fail`, {
      detail: `${failed} of ${rows} records within ${windowMs} ms, which is more than ${stopAbove * 100} %; nothing of the epoch at hand is committed`,
      hint: 'look at its dead letters, or start it without onError to see the first failure; mend what fails, or raise stopAbove; started again it goes on from its checkpoint',
    })
  }
}
