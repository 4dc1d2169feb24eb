import { resolve } from 'node:path'
import {
  EpochLog,
  type EpochRecord,
  type EpochStore,
  jsonPayload,
  RecordType,
  recordJson,
} from '../checkpoint/epoch-log.js'
import type { EpochMemory } from '../checkpoint/epoch-memory.js'
import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import type { BlockDescriptor } from '../connector/inputs.js'
import type { TransactionName } from '../log/owned-transactions.js'
import type { TransactionCoordinator } from '../log/transaction-coordinator.js'
import type { Outcome } from '../log/transaction-recovery.js'
import type { PartitionPosition } from '../worker/protocol.js'
import type { FilesRecord } from './file-source.js'
import { type InputName, inputsOf } from './input-order.js'

/** Who a checkpoint belongs to; compared before a query goes on from it. */
export interface CheckpointIdentity {
  readonly queryId: string
  readonly stateSignature: string
  readonly source: string
  readonly topics: readonly { readonly name: string; readonly id: string; readonly partitions: number }[]
  readonly startedAt: number
  /** Offsets at which the first epoch begins, by input partition. */
  readonly starts: readonly number[]
  /** The input partitions in the order of their numbers. Left out: those of `topics`, one after the other. */
  readonly inputs?: readonly InputName[]
}

/** The inputs of a checkpoint by their numbers; none where it is of other topics than these, which `claim` refuses. */
export function knownInputs(
  identity: CheckpointIdentity | undefined,
  topics: readonly { readonly name: string; readonly id: string }[],
): readonly InputName[] | undefined {
  if (identity === undefined) return undefined
  const areKnown = identity.topics.every(({ id }) => topics.some((topic) => topic.id === id))
  return areKnown ? inputsOfCheckpoint(identity) : undefined
}

function inputsOfCheckpoint(identity: CheckpointIdentity): readonly InputName[] {
  return identity.inputs ?? inputsOf(identity.topics)
}

/** Where an epoch ended. */
export interface EpochEnd {
  readonly positions: readonly PartitionPosition[]
  /** Up to where the windows of each stateful stage are closed: those that end at or before. */
  readonly closedUntil: ReadonlyMap<number, number>
  /** By Spark's rule of lateness: the watermark by which the epoch closed, and that of the next. */
  readonly watermarks?: { readonly closed: number; readonly next: number } | undefined
  /** Of the log sink: its transaction is committed by the record that says this. */
  readonly transaction?: TransactionName | undefined
}

export interface StateRecord {
  readonly stage: number
  readonly block: Uint8Array
}

export interface Recovered {
  readonly identity: CheckpointIdentity | undefined
  /** The last epoch that was committed, with the state and where it ended. */
  readonly committed: { readonly epoch: number; readonly end: EpochEnd } | undefined
  /** Of the committed epoch: whether the sink is known to have it, and its rows if they were written down. */
  readonly delivered: boolean
  /** What the sink has given up is committed by the record that it was delivered. */
  readonly deliveredWith: TransactionName | undefined
  readonly output: readonly Uint8Array[]
  readonly state: readonly StateRecord[]
  /** An epoch whose intent was written and which did not get to its commit: it is run again with the same ends. */
  readonly intent: { readonly epoch: number; readonly ends: readonly number[]; readonly final: boolean } | undefined
  /** What was found in folders. */
  readonly files: readonly FilesRecord[]
}

interface EndJson {
  readonly positions: readonly (readonly [number, number, number | string])[]
  /** By stage. A number alone: of the one stateful stage that there could be, which was the second. */
  readonly closedUntil: number | string | Readonly<Record<string, number | string>>
  readonly transaction?: readonly [producerId: number, producerEpoch: number]
  readonly watermarks?: { readonly closed: number; readonly next: number }
}

/** JSON has no infinities, and a watermark begins and ends with one. */
const toText = (n: number): number | string => (Number.isFinite(n) ? n : String(n))

/** The checkpoint as the coordinator of a query uses it; without a directory it lasts as long as the query, and of a batch query there is none. */
export class QueryCheckpoint {
  #stateBytes = 0

  #recovered: Recovered
  #identity: CheckpointIdentity | undefined

  private constructor(
    private readonly log: EpochStore | undefined,
    readonly isDurable: boolean,
    recovered: Recovered,
    private identityRecord: EpochRecord | undefined,
  ) {
    this.#recovered = recovered
  }

  /** `memory`: for a query without a directory that is to survive the death of a worker. */
  static open(env: Env, directory: string | undefined, memory?: EpochMemory): QueryCheckpoint {
    if (directory === undefined && memory === undefined)
      return new QueryCheckpoint(undefined, false, recover([]), undefined)
    const { log, records } =
      directory === undefined ? { log: memory, records: memory?.records ?? [] } : EpochLog.open(env, directory)
    // Written again where partitions were added: the last one counts.
    const start = records.findLast((r) => r.type === RecordType.start)
    // A copy: the payloads are views of the whole file, which nobody needs once the state is restored.
    const identity = start === undefined ? undefined : { ...start, payload: start.payload.slice() }
    return new QueryCheckpoint(log, directory !== undefined, recover(records), identity)
  }

  /** What the last run left, until `forgetRecovered`. */
  get recovered(): Recovered {
    return this.#recovered
  }

  /**
   * The tasks have their state and what was committed is delivered: the file's content need not stay in memory. An epoch that was
   * begun is begun again: what the attempt before has written behind its intent, all but the commit, counts no more.
   */
  forgetRecovered(): void {
    const { intent } = this.#recovered
    this.#recovered = recover([])
    if (intent !== undefined) this.intent(intent.epoch, intent.ends, intent.final)
  }

  /** Whether anything is remembered, on the disk or not. */
  get isKept(): boolean {
    return this.log !== undefined
  }

  /** Writes down whose checkpoint this is, or refuses to let another query go on from it. */
  claim(identity: CheckpointIdentity, where: string): void {
    const known = this.recovered.identity
    if (known === undefined) {
      this.#identify(identity)
      return
    }
    const refuse = (code: string, what: string, found: string, expected: string, hint: string): never => {
      throw new MillraceError(code, `the checkpoint ${where} ${what}`, {
        detail: `it has ${found || 'no state'}, the query has ${expected || 'no state'}`,
        hint,
      })
    }
    if (known.stateSignature !== identity.stateSignature) {
      refuse(
        'CHECKPOINT_STATE_MISMATCH',
        'holds the state of another query',
        known.stateSignature,
        identity.stateSignature,
        'use a new checkpointLocation (and queryName), or the query that wrote it',
      )
    }
    if (known.source !== identity.source) {
      refuse(
        'CHECKPOINT_SOURCE_MISMATCH',
        'reads another source',
        known.source,
        identity.source,
        'use a new checkpointLocation',
      )
    }
    for (const topic of identity.topics) {
      const before = known.topics.find((t) => t.name === topic.name)
      if (before !== undefined && before.id !== topic.id) {
        refuse(
          'CHECKPOINT_TOPIC_RECREATED',
          `names a topic ${topic.name} that is gone`,
          `topic id ${before.id}`,
          topic.id,
          'the topic was deleted and made anew, or lives in memory only; start the query with a new checkpointLocation',
        )
      }
    }
    this.#identity = known
  }

  /** The input partitions in the order of their numbers, on the disk before an offset is that tells them apart. */
  inputs(inputs: readonly InputName[]): void {
    const identity = this.#identity
    if (identity === undefined || inputs.length === inputsOfCheckpoint(identity).length) return
    this.#identify({ ...identity, inputs })
  }

  #identify(identity: CheckpointIdentity): void {
    this.#identity = identity
    this.identityRecord = { type: RecordType.start, epoch: 0, payload: jsonPayload(identity) }
    this.log?.append(RecordType.start, 0, this.identityRecord.payload)
  }

  /** What an earlier run could not tell of its last transaction, this checkpoint can. Once it is known to be the query's. */
  resolveInDoubt(transactions: TransactionCoordinator, directory: string): void {
    const own = checkpointOwner(directory)
    const { recovered } = this
    transactions.resolveInDoubt((owner, of) => (owner === own ? outcomeOfCommit(recovered, of) : 'unknown'))
  }

  /** On the disk with the next sync, and so before any offset that speaks of them. */
  files(record: FilesRecord): void {
    this.log?.append(RecordType.files, 0, record)
  }

  intent(epoch: number, ends: readonly number[], final: boolean): void {
    this.log?.append(RecordType.intent, epoch, { ends, final })
  }

  state(epoch: number, stage: number, block: Uint8Array, snapshot: boolean): void {
    if (this.log === undefined) return
    const payload = new Uint8Array(8 + block.length)
    new DataView(payload.buffer).setUint32(0, stage, true)
    payload.set(block, 8)
    if (snapshot) this.#stateBytes += payload.length
    this.log.append(snapshot ? RecordType.snapshot : RecordType.delta, epoch, payload)
  }

  output(epoch: number, block: Uint8Array): void {
    this.log?.append(RecordType.output, epoch, block)
  }

  commit(epoch: number, end: EpochEnd): void {
    this.log?.append(RecordType.commit, epoch, endJson(end))
  }

  /** Needs no sync of its own: at worst the epoch is delivered again, with the same rows. But where it commits a transaction, of what the sink has given up. */
  delivered(epoch: number, transaction?: TransactionName): void {
    this.log?.append(RecordType.delivered, epoch, transactionJson(transaction))
    this.log?.write()
  }

  async sync(): Promise<void> {
    await this.log?.sync()
  }

  /** The next epoch should write the whole state, so that the past can be dropped. */
  wantsSnapshot(): boolean {
    return this.log?.shouldCompact(this.#stateBytes) ?? false
  }

  beginSnapshot(): void {
    this.#stateBytes = 0
  }

  /** After the commit of an epoch with a snapshot: the file begins anew with it. */
  compact(
    epoch: number,
    ends: readonly number[],
    state: readonly StateRecord[],
    output: readonly Uint8Array[],
    end: EpochEnd,
    files: readonly FilesRecord[] = [],
  ): void {
    if (this.log === undefined || this.identityRecord === undefined) return
    const records: EpochRecord[] = [
      this.identityRecord,
      ...files.map((one): EpochRecord => ({ type: RecordType.files, epoch: 0, payload: jsonPayload(one) })),
      { type: RecordType.intent, epoch, payload: jsonPayload({ ends, final: false }) },
    ]
    for (const { stage, block } of state) {
      const payload = new Uint8Array(8 + block.length)
      new DataView(payload.buffer).setUint32(0, stage, true)
      payload.set(block, 8)
      records.push({ type: RecordType.snapshot, epoch, payload })
    }
    for (const block of output) records.push({ type: RecordType.output, epoch, payload: block })
    records.push({ type: RecordType.commit, epoch, payload: jsonPayload(endJson(end)) })
    this.log.rewrite(records)
  }

  close(): void {
    this.log?.write()
    this.log?.close()
  }
}

/**
 * How a transaction ended whose owner is the checkpoint in this directory: only the newest commit is ever asked for, since the markers of those
 * before were on the disk when it was written. Where there is no checkpoint there is no record that could have committed anything.
 */
export function outcomeIn(env: Env, directory: string, transaction: TransactionName): Outcome {
  if (!env.fs.exists(`${directory}/epochs.log`)) return 'abort'
  let checkpoint: QueryCheckpoint
  try {
    checkpoint = QueryCheckpoint.open(env, directory)
  } catch {
    return 'unknown'
  }
  try {
    return outcomeOfCommit(checkpoint.recovered, transaction)
  } finally {
    checkpoint.close()
  }
}

/** The checkpoint's name as an owner of transactions: the same from wherever the process was started. */
export function checkpointOwner(directory: string): string {
  return resolve(directory)
}

export function outcomeOfCommit(recovered: Recovered, { producerId, producerEpoch }: TransactionName): Outcome {
  const named = [recovered.committed?.end.transaction, recovered.deliveredWith]
  return named.some((one) => one?.producerId === producerId && one.producerEpoch === producerEpoch) ? 'commit' : 'abort'
}

export function sharedBlock(bytes: Uint8Array): BlockDescriptor {
  const buffer = new SharedArrayBuffer((bytes.length + 7) & ~7)
  new Uint8Array(buffer).set(bytes)
  return { buffer, position: 0 }
}

function endJson(end: EpochEnd): EndJson {
  return {
    positions: end.positions.map((p) => [p.index, p.offset, toText(p.maxEventTime)]),
    closedUntil: Object.fromEntries([...end.closedUntil].map(([stage, until]) => [stage, toText(until)])),
    ...(end.watermarks === undefined ? {} : { watermarks: end.watermarks }),
    ...transactionJson(end.transaction),
  }
}

function transactionJson(transaction: TransactionName | undefined): Pick<EndJson, 'transaction'> {
  return transaction === undefined ? {} : { transaction: [transaction.producerId, transaction.producerEpoch] }
}

function transactionOf({ transaction }: Pick<EndJson, 'transaction'>): TransactionName | undefined {
  return transaction === undefined ? undefined : { producerId: transaction[0], producerEpoch: transaction[1] }
}

function closedUntilOf(json: EndJson['closedUntil']): ReadonlyMap<number, number> {
  if (typeof json !== 'object') return new Map([[1, Number(json)]])
  return new Map(Object.entries(json).map(([stage, until]) => [Number(stage), Number(until)]))
}

function recover(records: readonly EpochRecord[]): Recovered {
  let identity: CheckpointIdentity | undefined
  const files: FilesRecord[] = []
  let committed: Recovered['committed']
  let intent: Recovered['intent']
  let delivered = true
  let deliveredWith: TransactionName | undefined
  let state: StateRecord[] = []
  let output: Uint8Array[] = []
  let pendingState: { readonly record: StateRecord; readonly snapshot: boolean }[] = []
  let pendingOutput: Uint8Array[] = []
  for (const record of records) {
    switch (record.type) {
      case RecordType.start:
        identity = recordJson<CheckpointIdentity>(record)
        break
      case RecordType.files:
        files.push(recordJson<FilesRecord>(record))
        break
      case RecordType.intent: {
        const { ends, final } = recordJson<{ ends: number[]; final: boolean }>(record)
        intent = { epoch: record.epoch, ends, final }
        pendingState = []
        pendingOutput = []
        break
      }
      case RecordType.delta:
      case RecordType.snapshot: {
        const stage = new DataView(record.payload.buffer, record.payload.byteOffset).getUint32(0, true)
        const snapshot = record.type === RecordType.snapshot
        pendingState.push({ record: { stage, block: record.payload.subarray(8) }, snapshot })
        break
      }
      case RecordType.output:
        pendingOutput.push(record.payload)
        break
      case RecordType.commit: {
        const json = recordJson<EndJson>(record)
        if (pendingState.some((p) => p.snapshot)) state = []
        state.push(...pendingState.map((p) => p.record))
        output = pendingOutput
        committed = {
          epoch: record.epoch,
          end: {
            positions: json.positions.map(([index, offset, time]) => ({ index, offset, maxEventTime: Number(time) })),
            closedUntil: closedUntilOf(json.closedUntil),
            ...(json.watermarks === undefined ? {} : { watermarks: json.watermarks }),
            transaction: transactionOf(json),
          },
        }
        delivered = false
        deliveredWith = undefined
        intent = undefined
        pendingState = []
        pendingOutput = []
        break
      }
      case RecordType.delivered:
        delivered = true
        deliveredWith = transactionOf(recordJson<Pick<EndJson, 'transaction'>>(record))
    }
  }
  return { identity, committed, delivered, deliveredWith, output, state, intent, files }
}
