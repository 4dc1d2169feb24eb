import { engineClosed, MillraceError } from '../common/errors.js'
import { nearestName } from '../common/nearest-name.js'
import { ControlType } from '../record/control-record.js'
import { HOUSEKEEPING_MS, PRODUCER_IDS_BLOCK } from './limits.js'
import type { PartitionLog } from './partition-log.js'
import { fenced } from './producer-state.js'
import { TransactionDecisions } from './transaction-decisions.js'
import type { TransactionEnd } from './transaction-log.js'
import { TransactionMarkers } from './transaction-markers.js'
import { outcomeOf } from './transaction-recovery.js'
import { TransactionalProducer } from './transactional-producer.js'
import type {
  AskOwner,
  CoordinatedLog,
  EndTransaction,
  InitProducer,
  ProducerGrant,
  TransactionDescription,
  TransactionState,
} from './transactions.js'

/**
 * Kafka's transaction coordinator, on the engine thread: it gives out producer ids and epochs, and ends transactions. A commit is
 * three steps: the records are synced; one record in the coordinator's file is synced, and that is the decision; the markers are written. A crash
 * before the second step aborts the transaction, a crash behind it lets the next start write the markers that are missing.
 * Every transaction has an epoch of its own, so that a marker or a late append can never be taken for another transaction's.
 */
export class TransactionCoordinator {
  readonly markers: TransactionMarkers
  readonly decisions: TransactionDecisions
  /** Transactions whose owner could not be asked: they stay open until it can. */
  readonly #inDoubt: { readonly log: PartitionLog; readonly producerId: number; readonly producerEpoch: number }[] = []
  readonly #byId = new Map<string, TransactionalProducer>()
  readonly #byProducer = new Map<number, TransactionalProducer>()
  #nextProducerId: number
  #reservedProducerIds: number
  #cancelHousekeeping: (() => void) | undefined
  #isStopped = false

  constructor(
    readonly log: CoordinatedLog,
    private readonly options: { readonly transactionalIdExpirationMs: number; readonly producerIdExpirationMs: number },
  ) {
    this.markers = new TransactionMarkers(log.env, log.memory)
    this.decisions = new TransactionDecisions(log)
    const { memory } = this.decisions
    this.#nextProducerId = memory.nextProducerId
    this.#reservedProducerIds = memory.nextProducerId
    for (const known of memory.producers.values()) {
      const producer = new TransactionalProducer(known.transactionalId, known.producerId, known.timeoutMs, known.at)
      producer.epoch = known.epochEnd - 1
      producer.epochEnd = known.epochEnd
      this.#byId.set(known.transactionalId, producer)
      this.#byProducer.set(known.producerId, producer)
    }
    this.#housekeepLater()
  }

  /** After all partitions are open, before anybody appends: ends what a crash has left open. How many were committed and aborted. */
  recover(askOwner: AskOwner): { readonly committed: number; readonly aborted: number; readonly inDoubt: number } {
    let committed = 0
    let aborted = 0
    for (const log of this.log.partitions()) {
      const { topicId, partition } = log.descriptor
      for (const { producerId, producerEpoch, currentFirstOffset } of log.producers.states.open()) {
        const found = { topicId, partition, producerId, producerEpoch, firstOffset: currentFirstOffset }
        const outcome = outcomeOf(this.decisions.memory, found, askOwner)
        if (outcome === 'unknown') {
          this.#inDoubt.push({ log, producerId, producerEpoch })
          continue
        }
        if (outcome === 'commit') committed += 1
        else aborted += 1
        void this.#mark(log, found, outcome)
      }
    }
    return { committed, aborted, inDoubt: this.#inDoubt.length }
  }

  /** The owner can be asked now. */
  resolveInDoubt(askOwner: AskOwner): void {
    for (const doubt of this.#inDoubt.splice(0)) {
      const owner = this.decisions.memory.owners.get(doubt.producerId)
      const outcome = owner === undefined ? 'abort' : askOwner(owner, doubt)
      if (outcome === 'unknown') this.#inDoubt.push(doubt)
      else void this.#mark(doubt.log, doubt, outcome)
    }
  }

  /** An owner's record may have been written, or not: the transaction stays open until the owner, or the next start, can tell. */
  leaveInDoubt(
    transaction: { readonly producerId: number; readonly producerEpoch: number },
    ends: readonly TransactionEnd[],
  ): void {
    for (const { topic, partition } of ends) {
      const log = this.log.partition(topic, partition)
      if (log !== undefined) this.#inDoubt.push({ log, ...transaction })
    }
  }

  /** A new epoch for the transactional id: whoever had it before is fenced, and what they left open is aborted. */
  async initProducer({ transactionalId, timeoutMs }: InitProducer): Promise<ProducerGrant> {
    if (transactionalId === undefined) {
      const producerId = await this.newProducerId()
      return { producerId, producerEpoch: 0, fence: undefined }
    }
    let producer = this.#byId.get(transactionalId)
    if (producer === undefined) {
      producer = new TransactionalProducer(transactionalId, -1, 0, 0)
      this.#byId.set(transactionalId, producer)
    }
    const own = producer
    // Two that begin at once are served one after the other; the second fences the first.
    const grant = own.serially(async () => {
      own.lower()
      if (own.state === 'InDoubt') throw this.decisions.inDoubt(own.producerId)
      if (own.state === 'Ongoing') await this.#abort(own, undefined)
      own.timeoutMs = timeoutMs ?? own.timeoutMs
      await this.#nextEpoch(own)
      return own.grant()
    })
    return await grant
  }

  /** Sent in front of the first append. A transaction that is forgotten is aborted in time. */
  begin(producerId: number, producerEpoch: number): void {
    const producer = this.#byProducer.get(producerId)
    if (producer === undefined || producer.epoch !== producerEpoch || producer.state !== 'Empty') return
    producer.state = 'Ongoing'
    producer.lastUsedAt = this.log.env.now()
    const { timeoutMs } = producer
    if (!Number.isFinite(timeoutMs) || timeoutMs <= 0) return
    producer.cancelTimeout = this.log.env.timer(timeoutMs, () => {
      if (producer.epoch !== producerEpoch || producer.state !== 'Ongoing') return
      producer.lower()
      producer
        .serially(async () => {
          if (producer.epoch !== producerEpoch || producer.state !== 'Ongoing') return
          await this.#endForProducer(producer, 'timeout')
        })
        .catch(() => undefined)
    })
  }

  /** Aborts the transaction that the id has open, whoever began it. Its producer is told when it ends it, and may begin another. */
  async abort(transactionalId: string): Promise<void> {
    const producer = this.#byId.get(transactionalId)
    if (producer === undefined) throw unknownTransactionalId(transactionalId, [...this.#byId.keys()])
    await producer.serially(async () => {
      if (producer.state === 'InDoubt') throw this.decisions.inDoubt(producer.producerId)
      if (producer.state !== 'Ongoing') throw notOpen(producer, false)
      producer.lower()
      producer.cancelTimeout?.()
      await this.#endForProducer(producer, 'request')
    })
  }

  /** Commits or aborts; resolves when readers of committed records see it, with the epoch of the next transaction. */
  async end(request: EndTransaction): Promise<ProducerGrant> {
    const { producerId, producerEpoch, commit, ends } = request
    const producer = this.#byProducer.get(producerId)
    if (producer === undefined) throw unknownProducer(producerId)
    return await producer.serially(async () => {
      if (producer.epoch !== producerEpoch) {
        if (producer.endedEpoch !== producerEpoch) throw fenced(producerId, producerEpoch, producer.epoch)
        if (commit) throw producer.endedBy === 'timeout' ? timedOut(producer) : abortedByRequest(producer)
        return producer.grant()
      }
      if (producer.state === 'InDoubt') throw this.decisions.inDoubt(producerId)
      if (this.#isStopped) throw engineClosed()
      if (producer.state !== 'Ongoing') throw notOpen(producer, commit)
      producer.lower()
      // Until it has ended the clock goes on: a commit that could not be decided must not hold readers up for ever.
      if (commit) await this.#commit(producer, ends)
      else await this.#abort(producer, ends)
      producer.cancelTimeout?.()
      await this.#nextEpoch(producer)
      return producer.grant()
    })
  }

  /** All transactional ids, and what is open without one. */
  list(): TransactionDescription[] {
    const open = openTransactions(this.log.partitions())
    const listed = [...this.#byProducer.values()].map((producer): TransactionDescription => {
      const { transactionalId = null, producerId, epoch, state, timeoutMs, lastUsedAt } = producer
      const partitions = open.get(producerId)?.partitions ?? []
      open.delete(producerId)
      const startedAt = state === 'Empty' ? null : lastUsedAt
      return { transactionalId, producerId, producerEpoch: epoch, state, timeoutMs, startedAt, partitions }
    })
    for (const [producerId, { producerEpoch, partitions }] of open) {
      const state: TransactionState = this.#inDoubt.some((doubt) => doubt.producerId === producerId)
        ? 'InDoubt'
        : 'Ongoing'
      listed.push({
        transactionalId: null,
        producerId,
        producerEpoch,
        state,
        timeoutMs: 0,
        startedAt: null,
        partitions,
      })
    }
    return listed
  }

  describe(transactionalId: string): TransactionDescription {
    const found = this.list().find((one) => one.transactionalId === transactionalId)
    if (found === undefined) throw unknownTransactionalId(transactionalId, [...this.#byId.keys()])
    return found
  }

  get inDoubt(): number {
    return this.#inDoubt.length
  }

  async newProducerId(): Promise<number> {
    const id = this.#nextProducerId++
    if (id >= this.#reservedProducerIds) {
      this.#reservedProducerIds = id + PRODUCER_IDS_BLOCK
      await this.decisions.keep([{ type: 'ids', next: this.#reservedProducerIds }])
    }
    return id
  }

  /** Before the log closes: what is open is aborted, since nobody will ever go on with it. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#cancelHousekeeping?.()
    const open = [...this.#byProducer.values()].filter((producer) => producer.state === 'Ongoing')
    for (const producer of open) {
      producer.lower()
      producer.cancelTimeout?.()
    }
    await Promise.allSettled(open.map((producer) => producer.serially(() => this.#abort(producer, undefined))))
    this.markers.stop()
  }

  /** After the log has closed. */
  close(): void {
    this.decisions.close(this.#inDoubt.map(({ producerId }) => producerId))
  }

  /** The transaction's markers everywhere; the ends where they are known, else every partition is looked at. */
  async markAll(
    transaction: { readonly producerId: number; readonly producerEpoch: number },
    outcome: 'commit' | 'abort',
    ends: readonly TransactionEnd[] | undefined,
  ): Promise<readonly { readonly log: PartitionLog; readonly offset: number }[]> {
    const logs =
      ends === undefined
        ? this.#openIn(transaction.producerId)
        : ends.flatMap(({ topic, topicId, partition }) => {
            const log = this.log.partition(topic, partition)
            return log === undefined || log.descriptor.topicId !== topicId ? [] : [log]
          })
    return await Promise.all(logs.map(async (log) => ({ log, offset: await this.#mark(log, transaction, outcome) })))
  }

  async #commit(producer: TransactionalProducer, ends: readonly TransactionEnd[]): Promise<void> {
    const transaction = { producerId: producer.producerId, producerEpoch: producer.epoch }
    await this.decisions.decide(transaction, ends, () => {
      producer.state = 'InDoubt'
    })
    producer.state = 'PrepareCommit'
    this.decisions.marked(transaction, await this.markAll(transaction, 'commit', ends))
    producer.state = 'Empty'
  }

  async #abort(producer: TransactionalProducer, ends: readonly TransactionEnd[] | undefined): Promise<void> {
    producer.state = 'PrepareAbort'
    const transaction = { producerId: producer.producerId, producerEpoch: producer.epoch }
    await this.markAll(transaction, 'abort', ends)
    producer.state = 'Empty'
  }

  /** Not by its producer, which hears of it when it comes to end the transaction: the epoch that has passed is remembered for that. */
  async #endForProducer(producer: TransactionalProducer, endedBy: 'timeout' | 'request'): Promise<void> {
    producer.endedEpoch = producer.epoch
    producer.endedBy = endedBy
    await this.#abort(producer, undefined)
    await this.#nextEpoch(producer)
  }

  /** Epochs are 16 bits: with the last one the producer gets another id. */
  async #nextEpoch(producer: TransactionalProducer): Promise<void> {
    producer.lastUsedAt = this.log.env.now()
    if (producer.producerId < 0 || !producer.advance()) {
      this.#byProducer.delete(producer.producerId)
      producer.begin(await this.newProducerId())
      this.#byProducer.set(producer.producerId, producer)
    }
    const reserved = producer.reserve()
    if (reserved !== undefined) await this.decisions.keep([reserved])
    producer.raise()
  }

  #mark(
    log: PartitionLog,
    { producerId, producerEpoch }: { readonly producerId: number; readonly producerEpoch: number },
    outcome: 'commit' | 'abort',
  ): Promise<number> {
    const type = outcome === 'commit' ? ControlType.commit : ControlType.abort
    const aligned = this.log.isTyped(log.descriptor.topic)
    return this.markers.write(log, { producerId, producerEpoch, type, aligned })
  }

  /** The fence is down, so none is added while this looks; the lock lets an append finish that was under way. */
  #openIn(producerId: number): PartitionLog[] {
    const open: PartitionLog[] = []
    for (const log of this.log.partitions()) if (log.hasOpenTransaction(producerId)) open.push(log)
    return open
  }

  /** Transactional ids that nobody has used for long, and producers that partitions have not heard of for long. */
  #housekeepLater(): void {
    this.#cancelHousekeeping = this.log.env.timer(HOUSEKEEPING_MS, () => {
      this.expire(this.log.env.now())
      this.#housekeepLater()
    })
  }

  /** Forgets transactional ids and producer states that are older than their settings allow at `now`. */
  expire(now: number): void {
    for (const [transactionalId, producer] of this.#byId) {
      if (producer.state !== 'Empty' || producer.lastUsedAt >= now - this.options.transactionalIdExpirationMs) continue
      producer.lower()
      this.#byId.delete(transactionalId)
      this.#byProducer.delete(producer.producerId)
      this.decisions.keep([{ type: 'expired', transactionalId }]).catch(() => undefined)
    }
    const before = now - this.options.producerIdExpirationMs
    for (const log of this.log.partitions()) log.producers.states.expire(before)
  }
}

interface OpenSomewhere {
  readonly producerEpoch: number
  readonly partitions: { readonly topic: string; readonly partition: number; readonly firstOffset: number }[]
}

/** By producer id, where each open transaction has written. */
function openTransactions(logs: Iterable<PartitionLog>): Map<number, OpenSomewhere> {
  const open = new Map<number, OpenSomewhere>()
  for (const log of logs) {
    const { topic, partition } = log.descriptor
    for (const { producerId, producerEpoch, firstOffset } of log.openTransactions()) {
      const found = open.get(producerId) ?? { producerEpoch, partitions: [] }
      found.partitions.push({ topic, partition, firstOffset })
      open.set(producerId, found)
    }
  }
  return open
}

function unknownTransactionalId(transactionalId: string, known: readonly string[]): MillraceError {
  const nearest = nearestName(transactionalId, known)
  const shown = known.slice(0, 20).join(', ')
  return new MillraceError(
    'UNKNOWN_TRANSACTIONAL_ID',
    `there is no transactionalId ${JSON.stringify(transactionalId)}`,
    {
      detail:
        known.length === 0 ? 'no producer has begun with one' : `there is ${shown}${known.length > 20 ? ', …' : ''}`,
      hint: nearest === undefined ? 'one that nobody has used for long is forgotten' : `did you mean '${nearest}'?`,
    },
  )
}

function abortedByRequest(producer: TransactionalProducer): MillraceError {
  return new MillraceError('TRANSACTION_ABORTED', 'the transaction has been aborted by somebody else', {
    detail: `transactionalId ${JSON.stringify(producer.transactionalId)}, mill.transactions.abort`,
    hint: 'await tx.abort(), then begin a new one',
  })
}

function unknownProducer(producerId: number): MillraceError {
  return new MillraceError('UNKNOWN_PRODUCER_ID', `producer id ${producerId} is not known`, {
    detail: 'it was not given by this engine, or has expired (transactional.id.expiration.ms)',
    hint: 'make a new producer with the same transactionalId',
  })
}

function notOpen(producer: TransactionalProducer, commit: boolean): MillraceError {
  return new MillraceError('INVALID_TRANSACTION_STATE', `there is no transaction to ${commit ? 'commit' : 'abort'}`, {
    detail: `transactionalId ${JSON.stringify(producer.transactionalId)} is ${producer.state}`,
    hint: 'begin one with producer.transaction()',
  })
}

function timedOut(producer: TransactionalProducer): MillraceError {
  return new MillraceError('TRANSACTION_TIMED_OUT', 'the transaction was open for too long and has been aborted', {
    detail: `transactionalId ${JSON.stringify(producer.transactionalId)}, transactionTimeout ${producer.timeoutMs} ms`,
    hint: 'begin a new one; raise transactionTimeout where the work takes longer',
  })
}
