import { MillraceError } from '../common/errors.js'
import type { ProducerSession } from '../log/producer-session.js'
import type { Message } from '../record/key-scatter.js'
import { describe } from '../types/invalid-value.js'
import { checkPlace, fieldsOf } from './consumer-arguments.js'
import type { OffsetCommit } from './group-offsets.js'
import type { ProducerBatch, ProducerRecord, RecordMetadata } from './producer-record.js'
import type { ConsumerGroupMetadata, TransactionalCommit, TransactionalOffsets } from './transactional-offsets.js'

/** Offsets that are committed with a transaction, in the shape of kafkajs. */
export interface SendOffsets {
  /** May be left out where `groupMetadata` says it. */
  readonly consumerGroupId?: string | undefined
  /**
   * Of a consumer that is a member of the group, as `consumer.groupMetadata()` gives it: once its partitions have moved to another member its offsets are
   * refused, with `ILLEGAL_GENERATION`, `NOT_ASSIGNED` or `UNKNOWN_MEMBER_ID`, and so is the commit.
   */
  readonly groupMetadata?: ConsumerGroupMetadata | undefined
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

/** What a transaction needs of its producer. */
export interface TransactionHost {
  send(record: ProducerRecord, session: ProducerSession): Promise<RecordMetadata[]>
  sendBatch(batch: ProducerBatch, session: ProducerSession): Promise<RecordMetadata[]>
  /** To the internal topic of the committed offsets; resolves with the offset of the first. */
  sendOffsets(messages: readonly Message[], session: ProducerSession): Promise<number>
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
  readonly #offsets: TransactionalCommit[] = []
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
      const { group, offsets, member } = checkedOffsets(request)
      const messages = await this.#host.offsets.messages(group, offsets, member)
      const at = await this.#host.sendOffsets(messages, this.#session)
      this.#offsets.push({ group, offsets, member, at })
    })
  }

  /** Resolves when all of it is durable, whatever the fsync mode, and readers of committed records see it. */
  async commit(): Promise<void> {
    this.#assertOpen('commit')
    await this.#settled()
    if (this.#failure !== undefined) throw mustBeAborted(this.#failure)
    this.#assertOpen('commit')
    const release = this.#host.offsets.hold(this.#offsets)
    this.#state = 'ending'
    try {
      await this.#host.end(this.#session, true)
      this.#state = 'committed'
      this.#host.over()
      for (const commit of this.#offsets) this.#host.offsets.apply(commit)
    } finally {
      // Nothing is decided: it may be tried again, or aborted.
      if (this.#state === 'ending') this.#state = 'open'
      release()
    }
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

function checkedOffsets(request: unknown): Omit<TransactionalCommit, 'at'> {
  const given = typeof request === 'object' && request !== null ? (request as Partial<SendOffsets>) : {}
  const member = checkedMember(given.groupMetadata, given.consumerGroupId)
  const group = given.consumerGroupId ?? member?.groupId
  if (typeof group !== 'string' || group === '') {
    throw new MillraceError('INVALID_GROUP_ID', 'sendOffsets was told no group', {
      detail: `found consumerGroupId ${describe(group)}, expected the id of a group`,
      hint: "tx.sendOffsets({ consumerGroupId: 'audit', topics: [{ topic, partitions: [{ partition: 0, offset: '42' }] }] })",
    })
  }
  const offsets: OffsetCommit[] = []
  for (const topic of Array.isArray(given.topics) ? given.topics : [undefined]) {
    if (typeof topic?.topic !== 'string' || !Array.isArray(topic.partitions)) {
      throw new MillraceError('INVALID_ARGUMENT', 'topics of sendOffsets is not valid', {
        detail: `found ${describe(topic ?? given.topics)}, expected [{ topic, partitions: [{ partition, offset }] }]`,
        hint: "tx.sendOffsets({ consumerGroupId: 'audit', topics: [{ topic, partitions: [{ partition: 0, offset: '42' }] }] })",
      })
    }
    for (const place of topic.partitions) {
      checkPlace('sendOffsets', { topic: topic.topic, ...fieldsOf(place) }, '[{ partition: 0, offset }]')
      const { partition, offset, metadata } = place
      offsets.push({ topic: topic.topic, partition, offset: offset === '' ? Number.NaN : Number(offset), metadata })
    }
  }
  return { group, offsets, member }
}

function checkedMember(metadata: unknown, groupId: unknown): ConsumerGroupMetadata | undefined {
  if (metadata === undefined) return undefined
  const given = typeof metadata === 'object' && metadata !== null ? (metadata as Partial<ConsumerGroupMetadata>) : {}
  const { groupId: own, generationId, memberId } = given
  const isWhole = typeof own === 'string' && typeof memberId === 'string' && Number.isSafeInteger(generationId)
  if (isWhole && (groupId === undefined || groupId === own)) return metadata as ConsumerGroupMetadata
  throw new MillraceError('INVALID_ARGUMENT', 'groupMetadata of sendOffsets is not valid', {
    detail: isWhole
      ? `it is of group ${JSON.stringify(own)}, and consumerGroupId is ${describe(groupId)}`
      : `found ${describe(metadata)}, expected { groupId, generationId, memberId }`,
    hint: 'tx.sendOffsets({ groupMetadata: consumer.groupMetadata(), topics })',
  })
}
