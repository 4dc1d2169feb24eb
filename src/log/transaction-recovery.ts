import type { TransactionEnd, TransactionRecord } from './transaction-log.js'

/** What the coordinator's file says, record by record put together. Nothing here does anything; it only decides. */
export interface KnownProducer {
  readonly transactionalId: string
  readonly producerId: number
  readonly epochEnd: number
  readonly timeoutMs: number
  readonly at: number
}

export type Decision = Extract<TransactionRecord, { type: 'commit' }>

export interface TransactionMemory {
  nextProducerId: number
  readonly producers: Map<string, KnownProducer>
  /** Committed, and not known to be done. */
  readonly decisions: Map<string, Decision>
  readonly owners: Map<number, string>
}

export function decisionKey(of: { readonly producerId: number; readonly producerEpoch: number }): string {
  return `${of.producerId}:${of.producerEpoch}`
}

export function rememberTransactions(records: readonly TransactionRecord[]): TransactionMemory {
  const memory: TransactionMemory = {
    nextProducerId: 0,
    producers: new Map(),
    decisions: new Map(),
    owners: new Map(),
  }
  for (const record of records) {
    switch (record.type) {
      case 'ids':
        memory.nextProducerId = Math.max(memory.nextProducerId, record.next)
        break
      case 'producer':
        memory.producers.set(record.transactionalId, record)
        break
      case 'expired':
        memory.producers.delete(record.transactionalId)
        break
      case 'owner':
        memory.owners.set(record.producerId, record.owner)
        break
      case 'disowned':
        memory.owners.delete(record.producerId)
        break
      case 'commit':
        memory.decisions.set(decisionKey(record), record)
        break
      case 'done':
        memory.decisions.delete(decisionKey(record))
    }
  }
  return memory
}

/** A transaction that recovery has found open in a partition. */
export interface FoundOpen {
  readonly topicId: string
  readonly partition: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly firstOffset: number
}

export type Outcome = 'commit' | 'abort' | 'unknown'

/**
 * How it ends: as its own record says; else, where it has an owner, as the owner's record says; else it is aborted. The decision must name the
 * partition up to beyond the transaction's first record there: it can be of no other transaction then.
 */
export function outcomeOf(
  memory: TransactionMemory,
  found: FoundOpen,
  askOwner: (owner: string, transaction: { readonly producerId: number; readonly producerEpoch: number }) => Outcome,
): Outcome {
  const decision = memory.decisions.get(decisionKey(found))
  if (decision?.ends.some((end) => covers(end, found)) === true) return 'commit'
  const owner = memory.owners.get(found.producerId)
  return owner === undefined ? 'abort' : askOwner(owner, found)
}

function covers(end: TransactionEnd, found: FoundOpen): boolean {
  return end.topicId === found.topicId && end.partition === found.partition && end.end > found.firstOffset
}
