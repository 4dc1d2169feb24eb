import { TopicSender } from '../client/topic-sender.js'
import type { Env } from '../common/env.js'
import type { LogEntry } from '../common/logger.js'
import { type DeadLetter, letterMessage } from '../dead-letter/dead-letter.js'
import { letterTopicOf } from '../dead-letter/letter-topic.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import type { ProducerSession } from '../log/producer-session.js'
import type { LogMemory } from '../log/shared-memory.js'
import type { EpochTransactions } from './epoch-transactions.js'

export interface LetterSurroundings {
  readonly memory: LogMemory
  readonly env: Env
  /** For the dead letters of `topic`. */
  queueOf(topic: string): TopicDescriptor
  fail(error: unknown): void
  log(entry: LogEntry): void
}

interface Waiting {
  readonly epoch: number
  readonly letters: readonly DeadLetter[]
  readonly written: (letters: number) => void
}

/**
 * Appends the dead letters of a query to the dead-letter queues of its topics, on the engine thread, in the transaction of the epoch that leaves their records
 * out: whoever reads committed records sees a letter when the epoch is committed, and never if it is not.
 */
export class LetterWriter {
  /** By topic of the records. */
  readonly #senders = new Map<string, TopicSender>()
  /** Whose transaction has not begun. */
  #waiting: Waiting[] = []
  /** Of one run, the first is said. */
  #hasTold = false

  constructor(
    private readonly query: string,
    private readonly transactions: EpochTransactions,
    private readonly around: LetterSurroundings,
  ) {}

  /** `written`: so many of them more are in the log. */
  write(epoch: number, letters: readonly DeadLetter[], written: (letters: number) => void): void {
    if (this.transactions.isClosed || letters.length === 0) return
    // From here on the epoch is not prepared without them.
    this.transactions.expect(epoch, letters.length)
    this.#waiting.push({ epoch, letters, written })
    this.#send()
  }

  /** The engine's bell, or a transaction has begun. */
  rung(): void {
    this.#send()
    for (const sender of this.#senders.values()) sender.rung()
  }

  #send(): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const one of waiting) {
      const producer = this.transactions.sessionOf(one.epoch)
      if (producer === undefined) {
        this.#waiting.push(one)
        continue
      }
      this.#tellFirst(one.letters)
      for (const [topic, letters] of byTopic(one.letters)) this.#enqueue(one, topic, letters, producer)
    }
  }

  #enqueue(
    { epoch, written }: Waiting,
    topic: string,
    letters: readonly DeadLetter[],
    producer: ProducerSession,
  ): void {
    const settle = (): void => this.transactions.settle(epoch, letters.length)
    const refused = (error: unknown): void => {
      settle()
      this.around.fail(error)
    }
    try {
      const sender = this.#senderOf(topic)
      const partitions = sender.topic.partitions.length
      sender.enqueue({
        messages: letters.map((letter) => letterMessage(letter, this.query, partitions)),
        waitForAck: true,
        producer,
        written: () => {
          settle()
          written(letters.length)
        },
        refused,
      })
    } catch (error) {
      refused(error)
    }
  }

  #tellFirst([first]: readonly DeadLetter[]): void {
    if (first === undefined || this.#hasTold) return
    this.#hasTold = true
    const { topic, failure } = first
    const { operator, code, message } = failure
    const fields = { query: this.query, operator, code, message, topic: letterTopicOf(topic) }
    this.around.log({ level: 'warn', message: 'a record has failed, and is a dead letter', fields })
  }

  #senderOf(topic: string): TopicSender {
    const known = this.#senders.get(topic)
    if (known !== undefined) return known
    const { memory, env } = this.around
    const queue = this.around.queueOf(topic)
    const sender = new TopicSender(queue, { memory, env, onActive: () => undefined })
    this.#senders.set(topic, sender)
    return sender
  }
}

function byTopic(letters: readonly DeadLetter[]): ReadonlyMap<string, readonly DeadLetter[]> {
  const topics = new Map<string, DeadLetter[]>()
  for (const letter of letters) {
    const own = topics.get(letter.topic)
    if (own === undefined) topics.set(letter.topic, [letter])
    else own.push(letter)
  }
  return topics
}
