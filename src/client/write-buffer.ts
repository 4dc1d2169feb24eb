import type { Message } from '../record/key-scatter.js'
import type { HostLog } from './host-log.js'
import type { PendingSend } from './joined-write.js'
import { WRITE_BUFFER_RECORDS } from './limits.js'
import type { TopicSender } from './topic-sender.js'

/** What `write` has taken for one topic. */
export class WriteBuffer {
  /** Taken and not yet acknowledged or refused. */
  pending = 0
  readonly #topic: string
  readonly #log: HostLog
  readonly #refused: (error: unknown) => void
  readonly #settled: () => void
  #messages: Message[] = []
  #handOverIsComing = false
  #sender: TopicSender | undefined
  #resolving: Promise<void> | undefined
  #idle: (() => void)[] = []

  readonly #enqueue: (sender: TopicSender, send: PendingSend) => void

  /** `enqueue` is told the messages and what is to happen then; how they are sent is the producer's to say. */
  constructor(
    topic: string,
    log: HostLog,
    enqueue: (sender: TopicSender, send: PendingSend) => void,
    refused: (error: unknown) => void,
    settled: () => void,
  ) {
    this.#topic = topic
    this.#log = log
    this.#enqueue = enqueue
    this.#refused = refused
    this.#settled = settled
  }

  /** How many are pending now. */
  add(message: Message): number {
    this.#messages.push(message)
    this.pending += 1
    if (this.#messages.length >= WRITE_BUFFER_RECORDS) {
      this.handOver()
      this.#sender?.flushNow()
    } else if (!this.#handOverIsComing) {
      this.#handOverIsComing = true
      queueMicrotask(() => this.handOver())
    }
    return this.pending
  }

  handOver(): void {
    this.#handOverIsComing = false
    if (this.#messages.length === 0) return
    const sender = this.#log.knownSender(this.#topic)
    if (sender === undefined) {
      this.#resolve()
      return
    }
    this.#sender = sender
    const messages = this.#messages
    this.#messages = []
    this.#enqueue(sender, {
      messages,
      waitForAck: true,
      written: () => this.#done(messages.length),
      refused: (error) => {
        this.#refused(error)
        this.#done(messages.length)
      },
      // An invalid record is at fault by itself: there is nothing to go on with.
      recordRefused: this.#refused,
    })
  }

  idle(): Promise<void> {
    return this.pending === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve))
  }

  #resolve(): void {
    this.#resolving ??= this.#log
      .sender(this.#topic)
      .then(
        () => this.handOver(),
        (error: unknown) => {
          const lost = this.#messages.length
          this.#messages = []
          this.#refused(error)
          this.#done(lost)
        },
      )
      .finally(() => {
        this.#resolving = undefined
      })
  }

  #done(records: number): void {
    this.pending -= records
    if (this.pending === 0) for (const resolve of this.#idle.splice(0)) resolve()
    this.#settled()
  }
}
