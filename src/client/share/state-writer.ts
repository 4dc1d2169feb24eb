import type { HostLog } from '../host-log.js'
import type { DeadLetterRange, SharePartition } from './share-partition.js'
import type { ShareState, StoredSharePartition } from './share-state.js'
import type { SharePartitionKey } from './share-state-record.js'

/** After a write that may succeed later, as on a disk that is full. */
export const RETRY_MS = 1000

/** Up to so many runs a snapshot costs no more than an update. */
const SNAPSHOT_RUNS = 8

interface Waiting {
  readonly version: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export interface StateWriterOptions {
  readonly key: SharePartitionKey
  readonly records: SharePartition
  readonly log: HostLog
  readonly topic: string
  /** That the partition is in. */
  readonly leaderEpoch: number
  readonly state: ShareState
  /** Writes the dead letters; false: it is to be tried again later. */
  readonly write: (letters: readonly DeadLetterRange[]) => Promise<boolean>
  /** From an earlier life. */
  readonly stored: StoredSharePartition | undefined
}

/**
 * Writes down what is in flight of one partition of a share group: one write at a time, which takes everything that has changed by then, so that a thousand
 * acknowledgements cost a write and not a thousand. A snapshot is the whole, an update what has changed since it. Nothing is written before the records
 * that it is about are acknowledged: after a crash the state is never ahead of its partition. A record that is to become a dead letter is one once that is durable.
 */
export class StateWriter {
  readonly #options: StateWriterOptions
  #snapshotEpoch: number
  #stateEpoch: number
  readonly #createdAt: number
  #durableVersion: number
  /** What the snapshot has; -1: there is none to add to. */
  #snapshotVersion: number
  #waiting: Waiting[] = []
  #isWriting = false
  #isClosed = false
  /** Durable as such, and not written yet. */
  #letters: DeadLetterRange[] = []
  #sending: Promise<void> | undefined
  /** For the time to try again. */
  #isWaiting = false

  constructor(options: StateWriterOptions) {
    const { stored, records, log } = options
    this.#options = options
    this.#snapshotEpoch = stored?.snapshotEpoch ?? -1
    this.#stateEpoch = stored?.stateEpoch ?? 0
    this.#createdAt = stored?.createdAt ?? log.env.now()
    this.#durableVersion = records.version
    // The first write of a life is a snapshot: what was stored may have been cut where the log ended earlier, and was of an earlier epoch.
    this.#snapshotVersion = -1
  }

  /** A new beginning, durable when this resolves. */
  async begin(): Promise<void> {
    this.#stateEpoch += 1
    this.#snapshotVersion = -1
    this.#durableVersion = Math.min(this.#durableVersion, this.#options.records.version - 1)
    await this.flush()
  }

  /** Resolves when what has changed by now is durable as the fsync mode promises. */
  flush(): Promise<void> {
    const { version, letters } = this.#options.records
    if (this.#durableVersion >= version && !this.#isWriting) {
      // Restored: they were durable before.
      if (letters.length > 0) this.#hasWritten(this.#takeLetters())
      return Promise.resolve()
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ version, resolve, reject })
      if (!this.#isWriting) void this.#writeAll()
    })
  }

  /** Resolves when no dead letter is being written. */
  async settled(): Promise<void> {
    await this.#sending
  }

  close(): void {
    this.#isClosed = true
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true
    try {
      while (this.#waiting.length > 0) {
        const { version } = this.#options.records
        if (version > this.#durableVersion && !this.#isClosed) await this.#write(version)
        const still: Waiting[] = []
        for (const waiting of this.#waiting) {
          if (waiting.version <= this.#durableVersion || this.#isClosed) waiting.resolve()
          else still.push(waiting)
        }
        this.#waiting = still
      }
    } catch (error) {
      // What is acknowledged stays so, and goes out with the next write.
      for (const { reject } of this.#waiting.splice(0)) reject(error)
    } finally {
      this.#isWriting = false
    }
  }

  async #write(version: number): Promise<void> {
    const { key, records, log, topic, leaderEpoch, state } = this.#options
    const { start, end } = records
    const letters = this.#takeLetters()
    const changed = this.#snapshotVersion === -1 ? undefined : records.image(this.#snapshotVersion)
    const isSnapshot = changed === undefined || records.runs <= SNAPSHOT_RUNS || changed.length * 2 > records.runs
    const batches = isSnapshot ? records.image(-1) : changed
    try {
      const sender = await log.sender(topic)
      // Below the log start there is nothing to wait for.
      await sender.acknowledged(key.partition, end)
      if (this.#isClosed) return
      const writtenAt = log.env.now()
      if (isSnapshot) {
        const snapshotEpoch = this.#snapshotEpoch + 1
        const [stateEpoch, createdAt] = [this.#stateEpoch, this.#createdAt]
        const snapshot = { snapshotEpoch, stateEpoch, leaderEpoch, start, createdAt, writtenAt, batches }
        await state.snapshot(key, snapshot)
        this.#snapshotEpoch = snapshotEpoch
        this.#snapshotVersion = version
      } else await state.update(key, { snapshotEpoch: this.#snapshotEpoch, leaderEpoch, start, batches })
    } catch (error) {
      records.letters = [...letters, ...records.letters]
      throw error
    }
    this.#durableVersion = version
    this.#hasWritten(letters)
  }

  #takeLetters(): DeadLetterRange[] {
    const { records } = this.#options
    // The list itself is taken, empty or not: what is given up later goes to another one, and out with a later write.
    const { letters } = records
    records.letters = []
    return letters
  }

  #hasWritten(letters: readonly DeadLetterRange[]): void {
    if (letters.length === 0) return
    this.#letters.push(...letters)
    if (!this.#isWaiting) this.#sendLetters()
  }

  #sendLetters(): void {
    this.#sending ??= this.#send().finally(() => {
      this.#sending = undefined
      // They came while it ended.
      if (this.#letters.length > 0 && !this.#isWaiting) this.#sendLetters()
    })
  }

  async #send(): Promise<void> {
    const { records, write, log } = this.#options
    while (this.#letters.length > 0 && !this.#isClosed) {
      const letters = this.#letters
      this.#letters = []
      if (!(await write(letters))) {
        this.#letters = [...letters, ...this.#letters]
        this.#isWaiting = true
        log.env.timer(RETRY_MS, () => {
          this.#isWaiting = false
          this.#sendLetters()
        })
        return
      }
      for (const { first, last } of letters) records.finishArchiving(first, last)
      // That they are written is durable when it is; after a crash before they are written again.
      this.flush().catch(() => undefined)
    }
  }
}
