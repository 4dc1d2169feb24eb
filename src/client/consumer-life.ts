import type { EventEmitter } from 'node:events'
import { isRunning } from './consumer-errors.js'
import { consumerEvents } from './consumer-events.js'
import type { HostLog } from './host-log.js'
import { STOP_WARNING_MS } from './limits.js'

/**
 * Whether a consumer runs, whether it is to stop, and how it ended: what consumers of groups and of share groups have in common, whatever they do
 * in between. One life after the other: `begin`, then `run` or a loop, until it has stopped.
 */
export class ConsumerLife {
  /** No callback is begun any more. */
  isStopping = false
  isIterating = false
  readonly #log: HostLog
  readonly #consumer: EventEmitter
  readonly #groupId: string | undefined
  #running: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined
  /** Somebody waits in finished() and will hear of its end. */
  #isAwaited = false

  constructor(log: HostLog, consumer: EventEmitter, groupId: string | undefined) {
    this.#log = log
    this.#consumer = consumer
    this.#groupId = groupId
  }

  /** Throws where run() or a loop has the consumer. */
  assertIdle(hint: string): void {
    this.#log.assertOpen()
    if (this.#running !== undefined || this.isIterating) throw isRunning(hint)
  }

  begin(): void {
    this.#failure = undefined
    this.isStopping = false
  }

  /** What stops it; the first reason counts. */
  fail(error: unknown): void {
    this.#failure ??= { error }
    this.isStopping = true
  }

  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** Until `running` settles it runs; an error is told as a crash where `isCrash` says so. */
  run(running: Promise<void>, options: { readonly isCrash: () => boolean; readonly ended: () => void }): void {
    this.#running = running
      .catch((error: unknown) => {
        if (options.isCrash()) this.#crashed(error)
        throw error
      })
      .finally(() => {
        this.#running = undefined
        options.ended()
        this.sayStopped()
      })
    // Its error is given to who asks: 'crash' now, finished() and stop() later.
    this.#running.catch(() => undefined)
  }

  /** Resolves when it has stopped; rejects with what stopped it. */
  async finished(): Promise<void> {
    this.#isAwaited = true
    await this.#running
    this.throwFailure()
  }

  /** Resolves when it has stopped, whatever stopped it; warns where that takes long. */
  async stopped(): Promise<void> {
    if (this.#running === undefined) return
    const cancel = this.#log.env.timer(STOP_WARNING_MS, () => {
      const detail = 'heed the signal that callbacks get, and do not await stop() or disconnect() within one'
      process.emitWarning(`a consumer that stops waits for its callbacks: ${detail}`, 'MillraceWarning')
    })
    await this.#running.catch(() => undefined)
    cancel()
  }

  say(type: string, payload: object): void {
    this.#consumer.emit(type, { type, timestamp: this.#log.env.now(), payload })
  }

  sayStopped(): void {
    this.say(consumerEvents.STOP, { groupId: this.#groupId })
  }

  #crashed(error: unknown): void {
    this.#failure = { error }
    this.say(consumerEvents.CRASH, { groupId: this.#groupId, error })
    // An error that nobody is there to hear must not look like an end.
    if (!this.#consumer.emit('crash', error) && !this.#isAwaited) {
      process.emitWarning(`a consumer has stopped: ${String(error)}`, 'MillraceWarning')
    }
  }
}
