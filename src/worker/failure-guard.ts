import type { Env } from '../common/env.js'
import { toErrorShape } from '../common/errors.js'
import { canonicalJson } from '../connector/typed-records.js'
import { type DeadLetter, letterBytes, type OriginalRecord } from '../dead-letter/dead-letter.js'
import { backoffBefore, type FailurePolicy, failedAt, isOfRow } from '../dead-letter/failure-policy.js'
import type { Row } from '../types/row-reader.js'

/** Letters that leave together. */
const LETTERS_TOGETHER = 64
/** Letters, and their bytes, that may be on their way to the log: beyond that the task reads nothing more. */
const LETTERS_MAX = 4096
const LETTER_BYTES_MAX = 4 << 20

/** What is known of a row by its number in the block that the stage was given. */
export interface RowOrigin {
  /** In words: `offset 512 of clicks-3`. */
  describe(row: number): string
  /** Whose dead-letter queue, where the record was, and the record as it came. */
  original(row: number): Pick<DeadLetter, 'topic' | 'place' | 'record'>
}

/** Attempts at one row, from the first that has failed to the last. */
export interface Attempts {
  readonly attempt: number
  readonly firstAt: number
  readonly lastAt: number
}

/** What a task says of rows that have failed. */
export interface FailuresTold {
  readonly epoch: number
  readonly failedRows: number
  readonly letters: readonly DeadLetter[]
}

/**
 * The failure policy on one task: counts what fails for good, makes dead letters of it, and hands them to the engine before the barrier of the epoch that
 * leaves these records out. The two are committed together.
 */
export class FailureGuard {
  failedRows = 0
  retries = 0
  #letters: DeadLetter[] = []
  #untaken = 0
  #untakenBytes = 0
  readonly #bytes: number[] = []

  constructor(
    readonly policy: FailurePolicy,
    private readonly env: Env,
    /** Of the first barrier to come. */
    private epoch: number,
    /** The query's first topic: for rows that are of no one record. */
    private readonly topic: string | undefined,
    private readonly tell: (told: FailuresTold) => void,
  ) {}

  now(): number {
    return this.env.now()
  }

  /** How long to wait before this attempt. */
  backoff(attempt: number): number {
    return backoffBefore(this.policy, attempt, this.env.random())
  }

  /** A row has failed for good. By a policy that says so it throws, with the place of the row. */
  failed(
    step: DeadLetter['failure']['step'],
    operator: string,
    error: unknown,
    origin: RowOrigin,
    row: number,
    attempts: Attempts = this.#once(),
  ): void {
    if (!isOfRow(error)) throw error
    const { then } = this.policy
    if (then === 'fail') throw failedAt(error, origin.describe(row), attempts.attempt)
    this.failedRows += 1
    if (then === 'skip') return
    const { code, message } = toErrorShape(error)
    const letter: DeadLetter = { ...origin.original(row), failure: { step, operator, code, message, ...attempts } }
    this.#letters.push(letter)
    const bytes = letterBytes(letter)
    this.#bytes.push(bytes)
    this.#untaken += 1
    this.#untakenBytes += bytes
    if (this.#letters.length >= LETTERS_TOGETHER) this.flush()
  }

  /** A letter of a row that is of no one record: its columns. */
  letterOf(row: Row): Pick<DeadLetter, 'topic' | 'record'> {
    const record: OriginalRecord = { key: null, value: canonicalJson(row), headers: [], timestamp: this.env.now() }
    return { topic: this.topic ?? '', record }
  }

  /** The log has not taken enough of what it was given. */
  get isFull(): boolean {
    return this.#untaken >= LETTERS_MAX || this.#untakenBytes >= LETTER_BYTES_MAX
  }

  /** What is here is on its way when it returns. */
  flush(): void {
    if (this.#letters.length === 0) return
    const letters = this.#letters
    this.#letters = []
    this.tell({ epoch: this.epoch, failedRows: this.failedRows, letters })
  }

  /** The first so many of what was told are in the log. */
  taken(letters: number): void {
    this.#untaken -= letters
    for (const bytes of this.#bytes.splice(0, letters)) this.#untakenBytes -= bytes
  }

  /** The barrier has left: what comes now is of the next epoch. */
  epochEnded(epoch: number): void {
    this.epoch = epoch + 1
  }

  #once(): Attempts {
    const now = this.env.now()
    return { attempt: 1, firstAt: now, lastAt: now }
  }
}
