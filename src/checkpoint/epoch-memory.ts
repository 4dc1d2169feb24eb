import { type EpochRecord, type EpochStore, encodedPayload, RecordType } from './epoch-log.js'

/**
 * The checkpoint of a query that has no directory: the same records in memory, so that the query goes on where it was when a worker of its dies. What the past
 * says of epochs that are over is dropped with each commit; state is folded into a snapshot as in a file.
 */
const COMPACT_BYTES = 16 << 20

export class EpochMemory implements EpochStore {
  #start: EpochRecord[] = []
  /** What was found in folders. */
  #files: EpochRecord[] = []
  /** Of committed epochs, in order. */
  #state: EpochRecord[] = []
  #stateBytes = 0
  /** Of the last commit: rows, the commit itself, that it was delivered. */
  #last: EpochRecord[] = []
  /** Behind the last commit. */
  #open: EpochRecord[] = []

  get records(): readonly EpochRecord[] {
    return [...this.#start, ...this.#files, ...this.#state, ...this.#last, ...this.#open]
  }

  append(type: RecordType, epoch: number, payload: Uint8Array | object): void {
    const record = { type, epoch, payload: encodedPayload(payload) }
    switch (type) {
      case RecordType.start:
        this.#start = [record]
        break
      case RecordType.intent:
        this.#open = [record]
        break
      case RecordType.files:
        this.#files.push(record)
        break
      case RecordType.commit:
        this.#commit(record)
        break
      case RecordType.delivered:
        // The rows have served their purpose.
        this.#last = [...this.#last.filter((one) => one.type === RecordType.commit), record]
        break
      default:
        this.#open.push(record)
    }
  }

  #commit(record: EpochRecord): void {
    const isState = ({ type }: EpochRecord): boolean => type === RecordType.delta || type === RecordType.snapshot
    for (const one of this.#open.filter(isState)) {
      this.#state.push(one)
      this.#stateBytes += one.payload.length
    }
    this.#last = [...this.#open.filter(({ type }) => type === RecordType.output), record]
    this.#open = []
  }

  write(): void {}

  sync(): Promise<void> {
    return Promise.resolve()
  }

  shouldCompact(liveBytes: number): boolean {
    return this.#stateBytes > COMPACT_BYTES && this.#stateBytes > 4 * liveBytes
  }

  rewrite(records: readonly EpochRecord[]): void {
    this.#start = []
    this.#files = []
    this.#state = []
    this.#stateBytes = 0
    this.#last = []
    this.#open = []
    for (const { type, epoch, payload } of records) this.append(type, epoch, payload)
  }

  /** Kept for the run that goes on from it. */
  close(): void {}
}
