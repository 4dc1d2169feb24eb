import { crc32c } from '../common/checksum.js'
import type { Env, FileHandle } from '../common/env.js'
import { MillraceError } from '../common/errors.js'

/**
 * The coordinator's memory: one append-only file. A transaction is committed at the moment when its `commit` record is on the
 * disk, and at no other; whatever has no such record is aborted at the next start. So nothing needs to be written when
 * a transaction begins or is aborted.
 *
 *   // offset  size  file header
 *   //      0     8  'MRTXLOG1'
 *   // offset  size  record
 *   //      0     4  length of the payload
 *   //      4     4  crc32c of everything behind it
 *   //      8     8  synced (float64): bytes of the file that were on the disk when the record was written
 *   //     16     …  payload: JSON, one of TransactionRecord
 *
 * A torn tail is cut at opening: it was never synced, so nobody was told of it. Damage in front of a record that knew it to be
 * synced is no tear, and is refused.
 */
export type TransactionRecord =
  /** Producer ids below `next` may have been given. */
  | { readonly type: 'ids'; readonly next: number }
  /** A transactional id; epochs below `epochEnd` may have been given. */
  | {
      readonly type: 'producer'
      readonly transactionalId: string
      readonly producerId: number
      readonly epochEnd: number
      readonly timeoutMs: number
      readonly at: number
    }
  | { readonly type: 'expired'; readonly transactionalId: string }
  /** The outcome of this producer id's transactions is decided elsewhere: in the checkpoint at `owner`. */
  | { readonly type: 'owner'; readonly producerId: number; readonly owner: string }
  | { readonly type: 'disowned'; readonly producerId: number }
  /** The transaction is committed. Up to `ends` its records are on the disk. */
  | {
      readonly type: 'commit'
      readonly producerId: number
      readonly producerEpoch: number
      readonly ends: readonly TransactionEnd[]
    }
  /** All of its markers are on the disk. */
  | { readonly type: 'done'; readonly producerId: number; readonly producerEpoch: number }

export interface TransactionEnd {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  readonly end: number
}

const MAGIC = Buffer.from('MRTXLOG1', 'latin1')
const HEADER = 16
const CRC_FROM = 8
/** No record of ours is larger: a transaction names each of its partitions once. */
const PAYLOAD_BYTES_MAX = 1 << 26

/** A file that has grown by this, and to twice of what it was, is written anew with what still counts. */
const REWRITE_BYTES = 1 << 20

export class TransactionLog {
  #file: FileHandle
  #end: number
  #syncedEnd: number
  /** When it was written anew, or opened. */
  #rewrittenEnd = 0
  #syncing: Promise<void> | undefined
  /** Once a sync has failed nobody knows what the disk holds. */
  #failure: MillraceError | undefined

  private constructor(
    private readonly env: Env,
    private readonly path: string,
    file: FileHandle,
    end: number,
  ) {
    this.#file = file
    this.#end = end
    this.#syncedEnd = end
  }

  /** Opens or creates the file, and gives the records that are whole. */
  static open(
    env: Env,
    path: string,
  ): { readonly log: TransactionLog; readonly records: readonly TransactionRecord[] } {
    if (!env.fs.exists(path)) env.fs.replaceFile(path, MAGIC)
    const { records, end, torn } = TransactionLog.check(env, path)
    const file = env.fs.open(path, 'append')
    if (torn > 0) file.truncate(end)
    return { log: new TransactionLog(env, path, file, end), records }
  }

  /** Reads the file without a change. Throws where it is damaged; `torn` bytes at its end were never synced. */
  static check(
    env: Env,
    path: string,
  ): { readonly records: readonly TransactionRecord[]; readonly end: number; readonly torn: number } {
    const content = env.fs.readFile(path)
    if (content.length < MAGIC.length || !MAGIC.every((byte, i) => content[i] === byte)) {
      throw new MillraceError('TRANSACTION_LOG_CORRUPT', `${path} is not a transaction log of this version`, {
        detail: `found ${Buffer.from(content.subarray(0, 8)).toString('latin1')}, expected ${MAGIC.toString('latin1')}`,
        hint: 'restore the file; without it transactions that were being committed when the process died would be aborted',
      })
    }
    const { records, end } = decode(content)
    if (end < content.length) assertTorn(path, content, end)
    return { records, end, torn: content.length - end }
  }

  /** In the file, not on the disk yet: see `sync`. */
  append(records: readonly TransactionRecord[]): void {
    if (this.#failure !== undefined) throw this.#failure
    const bytes = Buffer.concat(records.map((record) => encode(record, this.#syncedEnd)))
    try {
      this.#file.write(bytes, this.#end)
    } catch (error) {
      // What was begun is written over by the next append.
      throw writeFailed(this.path, error)
    }
    this.#end += bytes.length
  }

  /** Everything appended before the call is on the disk when it resolves. One at a time; who comes meanwhile shares the next. */
  async sync(): Promise<void> {
    const target = this.#end
    while (this.#syncedEnd < target) {
      if (this.#failure !== undefined) throw this.#failure
      this.#syncing ??= this.#syncOnce().finally(() => {
        this.#syncing = undefined
      })
      await this.#syncing
    }
  }

  get wantsRewrite(): boolean {
    return this.#end > REWRITE_BYTES + 2 * this.#rewrittenEnd && this.#syncing === undefined
  }

  /** Replaces the whole file: temporary file, sync, rename, sync of the directory. */
  rewrite(records: readonly TransactionRecord[]): void {
    const content = Buffer.concat([MAGIC, ...records.map((record) => encode(record, 0))])
    this.env.fs.replaceFile(this.path, content)
    this.#file.close()
    this.#file = this.env.fs.open(this.path, 'append')
    this.#end = content.length
    this.#syncedEnd = content.length
    this.#rewrittenEnd = content.length
  }

  close(): void {
    this.#file.close()
  }

  async #syncOnce(): Promise<void> {
    const end = this.#end
    try {
      await this.#file.sync()
    } catch (error) {
      this.#failure = new MillraceError('TRANSACTION_LOG_FAILED', `a sync of ${this.path} failed`, {
        detail: `${String(error)}; whether the last commit is on the disk is known to nobody`,
        hint: 'check the disk, then open the engine again: it finishes what was decided and aborts the rest',
        cause: error,
      })
      throw this.#failure
    }
    this.#syncedEnd = end
  }
}

function encode(record: TransactionRecord, syncedEnd: number): Buffer {
  const payload = Buffer.from(JSON.stringify(record), 'utf8')
  const bytes = Buffer.alloc(HEADER + payload.length)
  bytes.writeUInt32BE(payload.length, 0)
  bytes.writeDoubleBE(syncedEnd, CRC_FROM)
  payload.copy(bytes, HEADER)
  bytes.writeUInt32BE(crc32c(bytes, CRC_FROM) >>> 0, 4)
  return bytes
}

function decode(content: Uint8Array): { records: TransactionRecord[]; end: number } {
  const records: TransactionRecord[] = []
  let at = MAGIC.length
  for (let end = recordEnd(content, at); end !== -1; end = recordEnd(content, at)) {
    records.push(JSON.parse(Buffer.from(content.subarray(at + HEADER, end)).toString('utf8')) as TransactionRecord)
    at = end
  }
  return { records, end: at }
}

/** Where the record that begins at `at` ends; -1 where no whole one does. */
function recordEnd(content: Uint8Array, at: number): number {
  if (at + HEADER > content.length) return -1
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength)
  const length = view.getUint32(at)
  const end = at + HEADER + length
  if (length < 2 || length > PAYLOAD_BYTES_MAX || end > content.length) return -1
  return crc32c(content, at + CRC_FROM, end) >>> 0 === view.getUint32(at + 4) ? end : -1
}

function assertTorn(path: string, content: Uint8Array, broken: number): void {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength)
  for (let at = broken + 1; at + HEADER <= content.length; at++) {
    if (recordEnd(content, at) === -1 || view.getFloat64(at + CRC_FROM) <= broken) continue
    throw new MillraceError('TRANSACTION_LOG_CORRUPT', `${path} is corrupt at byte ${broken}`, {
      detail: `found a record that does not hold, and at byte ${at} one that was written when it was on the disk; nothing was cut`,
      hint: 'restore the file; without it transactions that were being committed when the process died would be aborted',
    })
  }
}

function writeFailed(path: string, error: unknown): MillraceError {
  const code = (error as { code?: unknown }).code
  const isFull = code === 'ENOSPC' || code === 'EDQUOT'
  return new MillraceError(isFull ? 'DISK_FULL' : 'TRANSACTION_LOG_FAILED', `${path} could not be written`, {
    detail: String(error),
    hint: isFull ? 'make room on the disk, then commit again' : 'check the disk, then open the engine again',
    retriable: isFull,
    cause: error,
  })
}
