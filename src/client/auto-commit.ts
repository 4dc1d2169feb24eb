import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import type { AutoCommitOptions } from './consumer-options.js'

/** A rebalance was faster: what it has taken away it has committed itself, the rest is in the next commit. */
const overtaken = new Set(['ILLEGAL_GENERATION', 'NOT_ASSIGNED'])

/**
 * When a consumer commits by itself: after a while, after so many messages. One commit at a time; what comes meanwhile is in the next.
 * A commit that can succeed later is tried again at the next occasion; of others `onFailure` hears.
 */
export class AutoCommit {
  #handled = 0
  #lastCommit: number
  #cancel: (() => void) | undefined
  #committing: Promise<void> | undefined
  #isStopped = false

  constructor(
    private readonly env: Env,
    private readonly options: AutoCommitOptions,
    private readonly commit: () => Promise<void>,
    private readonly onFailure: (error: unknown) => void,
  ) {
    this.#lastCommit = env.monotonic()
    if (options.enabled) this.#arm()
  }

  /** So many messages more are done with. */
  handled(messages: number): void {
    this.#handled += messages
    if (this.options.enabled && this.#handled >= this.options.threshold) this.#inBackground()
  }

  /** Resolves when it is done, where it was time. */
  async ifDue(): Promise<void> {
    if (!this.options.enabled) return
    const isDue =
      this.#handled >= this.options.threshold || this.env.monotonic() - this.#lastCommit >= this.options.intervalMs
    if (isDue) await this.now()
  }

  /** Resolves when all that was done with before the call is committed. */
  async now(): Promise<void> {
    while (this.#committing !== undefined) await this.#committing.catch(() => undefined)
    this.#handled = 0
    this.#lastCommit = this.env.monotonic()
    this.#committing = this.commit().finally(() => {
      this.#committing = undefined
    })
    await this.#committing
  }

  /** Resolves when no commit is under way any more. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#cancel?.()
    await this.#committing?.catch(() => undefined)
  }

  #inBackground(): void {
    if (this.#committing !== undefined || this.#isStopped) return
    this.now().catch((error: unknown) => {
      if (error instanceof MillraceError && (error.retriable || overtaken.has(error.code))) return
      if (!this.#isStopped) this.onFailure(error)
    })
  }

  #arm(): void {
    if (this.#isStopped) return
    this.#cancel = this.env.timer(this.options.intervalMs, () => {
      this.#inBackground()
      this.#arm()
    })
  }
}
