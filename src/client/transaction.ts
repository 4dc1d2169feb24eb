import { MillraceError } from '../common/errors.js'
import type { ProducerSession } from '../log/producer-session.js'
import type { Message } from '../record/key-scatter.js'
import { describe } from '../types/invalid-value.js'
import type { ProducerBatch, ProducerRecord, RecordMetadata } from './producer-record.js'

/** Offsets that are committed with a transaction, in the shape of kafkajs. */
export interface SendOffsets {
  readonly consumerGroupId: string
  readonly topics: readonly {
    readonly topic: string
    readonly partitions: readonly {
      readonly partition: number
      /** The next record to be read. */
      readonly offset: string | number
      readonly metadata?: string | null | undefined
    }[]
  }[]
}

interface OffsetToCommit {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly metadata?: string | null | undefined
}

/** What a transaction needs of the committed offsets of groups. */
export interface TransactionalOffsets {
  /** Checked; records for partition 0 of the internal topic. */
  messages(group: string, offsets: readonly OffsetToCommit[]): Promise<readonly Message[]>
  /** They are committed. */
  apply(group: string, offsets: readonly OffsetToCommit[]): void
}

/** What a transaction needs of its producer. */
export interface TransactionHost {
  send(record: ProducerRecord, session: ProducerSession): Promise<RecordMetadata[]>
  sendBatch(batch: ProducerBatch, session: ProducerSession): Promise<RecordMetadata[]>
  /** To the internal topic of the committed offsets. */
  sendOffsets(messages: readonly Message[], session: ProducerSession): Promise<void>
  /** Nothing lingers until the work is done. */
  hurry(work: () => Promise<void>): Promise<void>
  end(session: ProducerSession, commit: boolean): Promise<void>
  readonly offsets: TransactionalOffsets
  /** Another one may begin. */
  over(): void
}

/**
 * Records in any topics and partitions, and offsets of groups, that readers of committed records see all together or not at all. In the shapes
 * of kafkajs. Once a send of it was refused it can only be aborted.
 */
export class Transaction {
  readonly #host: TransactionHost
  readonly #session: ProducerSession
  readonly #pending = new Set<Promise<unknown>>()
  readonly #offsets: { readonly group: string; readonly offsets: readonly OffsetToCommit[] }[] = []
  #state: 'open' | 'ending' | 'committed' | 'aborted' = 'open'
  #failure: unknown

  constructor(host: TransactionHost, session: ProducerSession) {
    this.#host = host
    this.#session = session
  }

  isActive(): boolean {
    return this.#state === 'open'
  }

  /** Resolves when the records are acknowledged; they are committed with the transaction. */
  send(record: ProducerRecord): Promise<RecordMetadata[]> {
    return this.#keep(() => this.#host.send(record, this.#session))
  }

  sendBatch(batch: ProducerBatch): Promise<RecordMetadata[]> {
    return this.#keep(() => this.#host.sendBatch(batch, this.#session))
  }

  /** The group goes on from these offsets if the transaction is committed, and only then. */
  sendOffsets(request: SendOffsets): Promise<void> {
    return this.#keep(async () => {
      const { group, offsets } = checkedOffsets(request)
      const messages = await this.#host.offsets.messages(group, offsets)
      await this.#host.sendOffsets(messages, this.#session)
      this.#offsets.push({ group, offsets })
    })
  }

  /** Resolves when all of it is durable, whatever the fsync mode, and readers of committed records see it. */
  async commit(): Promise<void> {
    this.#assertOpen('commit')
    await this.#settled()
    if (this.#failure !== undefined) throw mustBeAborted(this.#failure)
    this.#assertOpen('commit')
    this.#state = 'ending'
    try {
      await this.#host.end(this.#session, true)
    } catch (error) {
      // Nothing is decided: it may be tried again, or aborted.
      this.#state = 'open'
      throw error
    }
    this.#state = 'committed'
    this.#host.over()
    for (const { group, offsets } of this.#offsets) this.#host.offsets.apply(group, offsets)
  }

  /** Readers of committed records will never see it. What is still being sent is refused. */
  async abort(): Promise<void> {
    this.#assertOpen('abort')
    this.#state = 'ending'
    this.#session.end(ended('aborted'))
    await this.#settled()
    try {
      await this.#host.end(this.#session, false)
    } catch (error) {
      if (!(error instanceof MillraceError) || !isOver(error.code)) {
        this.#state = 'open'
        throw error
      }
      // Somebody else has aborted it already; the producer asks for an id anew, or hears that it was taken over.
      this.#state = 'aborted'
      this.#host.over()
      throw error
    }
    this.#state = 'aborted'
    this.#host.over()
  }

  /** Waits for the sends that were begun; their callers hear of their errors. */
  async #settled(): Promise<void> {
    await this.#host.hurry(async () => {
      while (this.#pending.size > 0) await Promise.allSettled([...this.#pending])
    })
  }

  #keep<T>(work: () => Promise<T>): Promise<T> {
    if (this.#state !== 'open') return Promise.reject(ended(this.#state))
    const pending = work()
    this.#pending.add(pending)
    pending.then(
      () => this.#pending.delete(pending),
      (error: unknown) => {
        this.#pending.delete(pending)
        this.#failure ??= error
      },
    )
    return pending
  }

  #assertOpen(what: 'commit' | 'abort'): void {
    if (this.#state === 'open') return
    throw new MillraceError('INVALID_TRANSACTION_STATE', `the transaction cannot ${what}`, {
      detail: `found it ${this.#state}, expected it open`,
      hint: 'begin another one with producer.transaction()',
    })
  }
}

const isOver = (code: string): boolean => code === 'PRODUCER_FENCED' || code === 'UNKNOWN_PRODUCER_ID'

function ended(state: string): MillraceError {
  return new MillraceError('INVALID_TRANSACTION_STATE', 'the transaction takes no more records', {
    detail: `found it ${state}, expected it open`,
    hint: 'begin another one with producer.transaction()',
  })
}

function mustBeAborted(failure: unknown): MillraceError {
  return new MillraceError('TRANSACTION_MUST_ABORT', 'the transaction can only be aborted', {
    detail: `one of its sends was refused: ${failure instanceof Error ? failure.message : String(failure)}`,
    hint: 'await tx.abort(), then begin another one with what is to be sent',
    cause: failure,
  })
}

function checkedOffsets(request: unknown): { readonly group: string; readonly offsets: OffsetToCommit[] } {
  const given = typeof request === 'object' && request !== null ? (request as Partial<SendOffsets>) : {}
  const group = given.consumerGroupId
  if (typeof group !== 'string' || group === '') {
    throw new MillraceError('INVALID_GROUP_ID', 'sendOffsets was told no group', {
      detail: `found consumerGroupId ${describe(group)}, expected the id of a group`,
      hint: "tx.sendOffsets({ consumerGroupId: 'audit', topics: [{ topic, partitions: [{ partition: 0, offset: '42' }] }] })",
    })
  }
  const offsets: OffsetToCommit[] = []
  for (const topic of Array.isArray(given.topics) ? given.topics : [undefined]) {
    if (typeof topic?.topic !== 'string' || !Array.isArray(topic.partitions)) {
      throw new MillraceError('INVALID_ARGUMENT', 'topics of sendOffsets is not valid', {
        detail: `found ${describe(topic ?? given.topics)}, expected [{ topic, partitions: [{ partition, offset }] }]`,
        hint: "tx.sendOffsets({ consumerGroupId: 'audit', topics: [{ topic, partitions: [{ partition: 0, offset: '42' }] }] })",
      })
    }
    for (const { partition, offset, metadata } of topic.partitions) {
      offsets.push({ topic: topic.topic, partition, offset: offset === '' ? Number.NaN : Number(offset), metadata })
    }
  }
  return { group, offsets }
}
