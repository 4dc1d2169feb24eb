import { assert } from '../common/assert.js'
import type { PartitionLog } from './partition-log.js'
import { ProducerSession } from './producer-session.js'
import type { TransactionCoordinator } from './transaction-coordinator.js'
import type { TransactionEnd, TransactionRecord } from './transaction-log.js'
import { TransactionalProducer } from './transactional-producer.js'

/** What the owner's record must name, so that recovery knows the transaction again. */
export interface TransactionName {
  readonly producerId: number
  readonly producerEpoch: number
}

/**
 * Transactions of the engine's own, for whoever has a durable record to decide them with: a query's sink, whose epoch is committed by its checkpoint.
 * There is one decision, the owner's: recovery asks the owner's record and never the coordinator's. Without an owner the coordinator decides.
 * Several may be open at a time, under producer ids of their own; an id that has used up its 16 bits of epochs is given up for another.
 *
 *     const tx = await transactions.begin()
 *     … append under tx.session …
 *     await tx.prepare()            records, and the last markers, are on the disk
 *     tx.deciding()                 from here on it is the owner's record alone that knows
 *     … the owner writes its record, which names tx.name, and syncs it: now it is committed …
 *     await tx.commit()             readers see it
 */
export class OwnedTransactions {
  readonly #idle: TransactionalProducer[] = []
  readonly #open = new Set<OwnedTransaction>()
  /** Producer ids of which the owner decides. */
  readonly #owned = new Set<number>()
  /** Of the transaction committed last: its owner's record is the newest only until the next one. */
  #lastMarkers: readonly { readonly log: PartitionLog; readonly offset: number }[] = []

  constructor(
    readonly coordinator: TransactionCoordinator,
    /** Names the record that decides; see AskOwner. Undefined: the coordinator's own does. */
    readonly owner: string | undefined,
  ) {}

  async begin(): Promise<OwnedTransaction> {
    const producer = this.#idle.pop() ?? new TransactionalProducer(undefined, -1, 0, 0)
    if (producer.producerId < 0 || !producer.advance()) {
      const before = producer.producerId
      producer.begin(await this.coordinator.newProducerId())
      if (this.owner !== undefined) await this.#own(producer.producerId, before)
    }
    producer.raise()
    const transaction = new OwnedTransaction(this, producer)
    this.#open.add(transaction)
    return transaction
  }

  /** Aborts what is open; what may be decided already is left to whoever can read the owner's record. */
  async close(): Promise<void> {
    await Promise.all([...this.#open].map((transaction) => transaction.close()))
    if (this.#open.size > 0 || this.#owned.size === 0) return
    // Nobody will ask the owner again. Where that cannot be written down it is a record too many, and nothing else.
    const disowned = [...this.#owned].map((producerId) => ({ type: 'disowned' as const, producerId }))
    this.#owned.clear()
    await this.syncLastMarkers()
      .then(() => this.coordinator.decisions.keep(disowned))
      .catch(() => undefined)
  }

  /** The owner decides for this id from now on; the one before, which has no epochs left, is let go. */
  async #own(producerId: number, before: number): Promise<void> {
    const { decisions } = this.coordinator
    const records: TransactionRecord[] = [{ type: 'owner', producerId, owner: this.owner ?? '' }]
    if (this.#owned.delete(before)) {
      await this.syncLastMarkers()
      records.push({ type: 'disowned', producerId: before })
    }
    this.#owned.add(producerId)
    await decisions.keep(records)
  }

  /** The markers of the last transaction are on the disk: no record older than the next one will ever be asked for. */
  async syncLastMarkers(): Promise<void> {
    const { log } = this.coordinator
    await Promise.all(
      this.#lastMarkers.map(async ({ log: partition, offset }) => {
        if (offset >= 0 && partition.descriptor.ackWhen !== 'appended') await log.syncUpTo(partition, offset + 1)
      }),
    )
  }

  /** @internal */
  over(
    transaction: OwnedTransaction,
    producer: TransactionalProducer,
    markers: readonly { readonly log: PartitionLog; readonly offset: number }[],
  ): void {
    if (!this.#open.delete(transaction)) return
    this.#lastMarkers = markers
    // A marker that could not be written leaves the id with an open transaction behind it.
    if (markers.every(({ offset }) => offset >= 0)) this.#idle.push(producer)
  }
}

export class OwnedTransaction {
  readonly session: ProducerSession
  readonly name: TransactionName
  readonly #of: OwnedTransactions
  readonly #producer: TransactionalProducer
  #state: 'open' | 'prepared' | 'deciding' | 'over' = 'open'

  constructor(of: OwnedTransactions, producer: TransactionalProducer) {
    this.#of = of
    this.#producer = producer
    this.name = { producerId: producer.producerId, producerEpoch: producer.epoch }
    this.session = new ProducerSession(producer.producerId, producer.epoch, true, producer.fence)
  }

  /** Nothing more is appended; what was is on the disk when it resolves, and so are the markers of the transaction before. */
  async prepare(): Promise<void> {
    assert(this.#state === 'open', `a transaction that is ${this.#state} is prepared`)
    this.#producer.lower()
    await Promise.all([this.#of.coordinator.decisions.syncRecords(this.#ends()), this.#of.syncLastMarkers()])
    this.#state = 'prepared'
  }

  /** Called before the owner begins to write its record: after a failure nobody knows whether it is on the disk. */
  deciding(): void {
    assert(this.#state === 'prepared', `a transaction that is ${this.#state} is decided`)
    this.#state = 'deciding'
  }

  /** For a transaction without an owner: the coordinator's record is on the disk when it resolves, and it is committed. */
  async decide(): Promise<void> {
    assert(this.#state === 'prepared' && this.#of.owner === undefined, 'the coordinator decides what nobody else does')
    await this.#of.coordinator.decisions.decide(this.name, this.#ends(), () => this.deciding())
    this.#state = 'deciding'
  }

  /** The decision is made; resolves when readers of committed records see it. */
  async commit(): Promise<void> {
    assert(this.#state === 'deciding', `a transaction that is ${this.#state} is committed`)
    this.#state = 'over'
    const markers = await this.#of.coordinator.markAll(this.name, 'commit', this.#ends())
    this.#of.coordinator.decisions.marked(this.name, markers)
    this.#of.over(this, this.#producer, markers)
  }

  async close(): Promise<void> {
    if (this.#state === 'deciding') this.#of.coordinator.leaveInDoubt(this.name, this.#ends())
    else await this.abort()
  }

  /** Only before it is being decided. */
  async abort(): Promise<void> {
    assert(this.#state !== 'deciding', 'a transaction that may be committed is aborted')
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#producer.lower()
    this.#of.over(this, this.#producer, await this.#of.coordinator.markAll(this.name, 'abort', this.#ends()))
  }

  #ends(): TransactionEnd[] {
    return [...this.session.touched.values()].map(({ partition, end }) => ({
      topic: partition.topic,
      topicId: partition.topicId,
      partition: partition.partition,
      end,
    }))
  }
}
