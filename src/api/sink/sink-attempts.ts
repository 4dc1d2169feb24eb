import { nodeEnv } from '../../common/env.js'
import { toErrorShape } from '../../common/errors.js'
import { canonicalJson } from '../../connector/typed-records.js'
import { backoffBefore, failedAt } from '../../dead-letter/failure-policy.js'
import type { SinkFailures } from '../../execution/host-sink.js'
import { sinkError } from '../../execution/query-errors.js'
import type { Row } from '../../types/row-reader.js'

/**
 * Calls of a sink's function by a failure policy. What has failed for good is told to the engine, in the epoch of its rows: a sink knows rows and no records, so a
 * dead letter has the columns of its row.
 */
export class SinkAttempts {
  constructor(
    private readonly failures: SinkFailures,
    /** As dead letters call it: `foreach`. */
    private readonly operator: string,
  ) {}

  /** The call for these rows has failed, for the first time. Resolves when it has succeeded, or the rows are given up. */
  async again(call: () => unknown, rows: () => readonly Row[], epoch: number, error: unknown): Promise<void> {
    const { policy } = this.failures
    const firstAt = nodeEnv.now()
    let attempt = 1
    let last = error
    let lastAt = firstAt
    while (attempt < policy.attempts) {
      attempt += 1
      const wait = backoffBefore(policy, attempt, nodeEnv.random())
      await new Promise<void>((resolve) => {
        nodeEnv.timer(wait, resolve)
      })
      try {
        await call()
        this.failures.tell({ epoch, failedRows: 0, retries: attempt - 1, letters: [] })
        return
      } catch (cause) {
        last = cause
        lastAt = nodeEnv.now()
      }
    }
    if (policy.then === 'fail') throw failedAt(sinkError(last), `the sink, in epoch ${epoch}`, attempt)
    const given = rows()
    const { code, message } = toErrorShape(sinkError(last))
    const failure = { step: 'sink', operator: this.operator, code, message, attempt, firstAt, lastAt } as const
    const letters =
      policy.then === 'skip'
        ? []
        : given.map((row) => ({
            topic: this.failures.topic,
            record: { key: null, value: canonicalJson(row), headers: [], timestamp: lastAt },
            failure,
          }))
    this.failures.tell({ epoch, failedRows: given.length, retries: attempt - 1, letters })
  }
}
