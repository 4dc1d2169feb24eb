import { MillraceError } from '../common/errors.js'
import { UNDONE_DECISIONS_MAX } from './limits.js'
import type { PartitionLog } from './partition-log.js'
import { type TransactionEnd, TransactionLog, type TransactionRecord } from './transaction-log.js'
import { type Decision, decisionKey, rememberTransactions, type TransactionMemory } from './transaction-recovery.js'
import type { CoordinatedLog } from './transactions.js'

interface Undone {
  readonly decision: Decision
  readonly markers: readonly { readonly log: PartitionLog; readonly offset: number }[]
}

/**
 * The coordinator's file in use: makes a transaction's records durable, then its decision, and forgets the decision once all markers
 * are on the disk. Where a transaction touches memory alone, or the engine has no directory, there is nothing to decide.
 */
export class TransactionDecisions {
  readonly memory: TransactionMemory
  readonly #file: TransactionLog | undefined
  /** By key; markers written, not yet known to be on the disk. */
  readonly #undone = new Map<string, Undone>()

  constructor(private readonly log: CoordinatedLog) {
    if (log.path === undefined) {
      this.memory = rememberTransactions([])
      return
    }
    const { log: file, records } = TransactionLog.open(log.env, log.path)
    this.#file = file
    this.memory = rememberTransactions(records)
  }

  /** Durable when it resolves. */
  async keep(records: readonly TransactionRecord[]): Promise<void> {
    this.#note(records)
    if (this.#file === undefined) return
    this.#file.append(records)
    await this.#file.sync()
    if (this.#file.wantsRewrite) this.#file.rewrite(this.#living())
  }

  /** The records up to `ends` are on the disk when it resolves; those in memory promise nothing. */
  async syncRecords(ends: readonly TransactionEnd[]): Promise<void> {
    await Promise.all(
      ends.map(async (end) => {
        const log = this.log.partition(end.topic, end.partition)
        if (log === undefined || log.descriptor.topicId !== end.topicId) throw partitionGone(end)
        if (log.descriptor.ackWhen !== 'appended') await this.log.syncUpTo(log, end.end)
      }),
    )
  }

  /** The transaction is committed when it resolves. `mayBeDecided` is called when from now on a failure leaves that open. */
  async decide(
    transaction: { readonly producerId: number; readonly producerEpoch: number },
    ends: readonly TransactionEnd[],
    mayBeDecided: () => void,
  ): Promise<void> {
    await this.syncRecords(ends)
    const durable = ends.filter(
      (end) => this.log.partition(end.topic, end.partition)?.descriptor.ackWhen !== 'appended',
    )
    if (this.#file === undefined || durable.length === 0) return
    const decision: Decision = { type: 'commit', ...transaction, ends: durable }
    this.#file.append([...this.#done(), decision])
    this.#note([decision])
    mayBeDecided()
    await this.#file.sync()
    if (this.#file.wantsRewrite) this.#file.rewrite(this.#living())
  }

  /** The markers have been written; -1: this one could not be, recovery will write it. */
  marked(
    transaction: { readonly producerId: number; readonly producerEpoch: number },
    markers: readonly { readonly log: PartitionLog; readonly offset: number }[],
  ): void {
    const key = decisionKey(transaction)
    const decision = this.memory.decisions.get(key)
    if (decision === undefined || markers.some(({ offset }) => offset < 0)) return
    this.#undone.set(key, { decision, markers: markers.filter(({ log }) => log.descriptor.ackWhen !== 'appended') })
    if (this.#undone.size <= UNDONE_DECISIONS_MAX) return
    // Nothing but a sync makes them known to be done, and this mode does not sync by itself.
    for (const { markers } of this.#undone.values())
      for (const { log, offset } of markers) this.log.syncUpTo(log, offset + 1).catch(() => undefined)
  }

  inDoubt(producerId: number): MillraceError {
    return new MillraceError(
      'TRANSACTION_IN_DOUBT',
      `whether the transaction of producer id ${producerId} is committed is open`,
      {
        detail: 'the sync of its decision failed, and the disk may hold it or not',
        hint: 'check the disk, then open the engine again: it finds out, and finishes or aborts the transaction everywhere',
      },
    )
  }

  /** `inDoubt`: producer ids whose owners are still to be asked. */
  close(inDoubt: readonly number[]): void {
    if (this.#file === undefined) return
    for (const producerId of this.memory.owners.keys())
      if (!inDoubt.includes(producerId)) this.memory.owners.delete(producerId)
    try {
      this.#note(this.#done())
      this.#file.rewrite(this.#living())
    } finally {
      this.#file.close()
    }
  }

  /** Records of decisions whose markers are all on the disk by now. */
  #done(): TransactionRecord[] {
    const done: TransactionRecord[] = []
    for (const [key, { decision, markers }] of this.#undone) {
      if (markers.some(({ log, offset }) => log.syncedOffset <= offset)) continue
      this.#undone.delete(key)
      this.memory.decisions.delete(key)
      done.push({ type: 'done', producerId: decision.producerId, producerEpoch: decision.producerEpoch })
    }
    return done
  }

  #note(records: readonly TransactionRecord[]): void {
    const fresh = rememberTransactions(records)
    this.memory.nextProducerId = Math.max(this.memory.nextProducerId, fresh.nextProducerId)
    for (const [key, producer] of fresh.producers) this.memory.producers.set(key, producer)
    for (const [key, decision] of fresh.decisions) this.memory.decisions.set(key, decision)
    for (const [producerId, owner] of fresh.owners) this.memory.owners.set(producerId, owner)
    for (const record of records) {
      if (record.type === 'expired') this.memory.producers.delete(record.transactionalId)
      else if (record.type === 'disowned') this.memory.owners.delete(record.producerId)
    }
  }

  #living(): TransactionRecord[] {
    const { nextProducerId, producers, decisions, owners } = this.memory
    return [
      { type: 'ids', next: nextProducerId },
      ...[...producers.values()].map((known): TransactionRecord => ({ ...known, type: 'producer' })),
      ...[...owners].map(([producerId, owner]): TransactionRecord => ({ type: 'owner', producerId, owner })),
      ...decisions.values(),
    ]
  }
}

function partitionGone(end: TransactionEnd): MillraceError {
  return new MillraceError('TOPIC_DELETED', `topic ${end.topic} has been deleted`, {
    detail: `the transaction has records in its partition ${end.partition}`,
    hint: 'abort the transaction',
  })
}
