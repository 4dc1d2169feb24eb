import { assert } from '../common/assert.js'
import { crc32c } from '../common/checksum.js'
import { makeDirectoryDurably } from '../common/durable-directory.js'
import type { Env, FileHandle } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import { forgetFailedSync, hasFailedSync, noteFailedSync } from '../common/failed-sync.js'

/**
 * The checkpoint of one query: an append-only file of records, written by the engine thread. What it says
 * is only true once it is synced, so every fact is followed by `sync()` before anything relies on it.
 *
 *   // offset  size  file header
 *   //      0     8  'MRCKPT01'
 *   // offset  size  record
 *   //      0     4  length of the payload
 *   //      4     4  crc32c of type, epoch and payload
 *   //      8     4  type
 *   //     12     4  of a file that was replaced as a whole: how many of its records came with it from here on; appended later: 0
 *   //     16     8  epoch (float64)
 *   //     24     …  payload: JSON (start, intent, commit) or a block (delta, output), padded to a multiple of 8
 *
 * files says which files of a folder have their place, and stands in front of every offset that speaks of them. start (who the query is) comes first; then for each epoch intent, deltas and outputs, commit, delivered.
 * A torn tail is cut at opening: it was never synced, so nobody relied on it.
 */
export const RecordType = {
  start: 1,
  intent: 2,
  delta: 3,
  output: 4,
  commit: 5,
  delivered: 6,
  snapshot: 7,
  files: 8,
} as const
export type RecordType = (typeof RecordType)[keyof typeof RecordType]

export interface EpochRecord {
  readonly type: RecordType
  readonly epoch: number
  readonly payload: Uint8Array
}

const MAGIC = new TextEncoder().encode('MRCKPT01')
const HEADER = 24
/** What a `delivered` holds at most: an object, padded, that is empty or names a transaction. */
const DELIVERED_BYTES_MAX = 64
/** A file whose records of the past outweigh the state by this much is written anew. */
const COMPACT_BYTES = 16 << 20

/** Where the records of a query are kept: in a file, or for as long as the query runs. */
export interface EpochStore {
  append(type: RecordType, epoch: number, payload: Uint8Array | object): void
  write(): void
  sync(): Promise<void>
  shouldCompact(liveBytes: number): boolean
  rewrite(records: readonly EpochRecord[]): void
  close(): void
}

export class EpochLog implements EpochStore {
  readonly #pending: Uint8Array[] = []
  #pendingBytes = 0
  #closed = false

  private constructor(
    private readonly env: Env,
    private readonly directory: string,
    private file: FileHandle,
    private end: number,
  ) {}

  /** Opens or creates `<directory>/epochs.log`, and gives the records that are whole. */
  static open(env: Env, directory: string): { log: EpochLog; records: readonly EpochRecord[] } {
    const path = pathIn(directory)
    makeDirectoryDurably(env.fs, directory)
    const fresh = !env.fs.exists(path)
    if (fresh) env.fs.replaceFile(path, MAGIC)
    const { records, end } = EpochLog.check(env, path)
    if (hasFailedSync(env.fs, directory)) {
      env.fs.replaceFile(path, env.fs.readFile(path).subarray(0, end))
      forgetFailedSync(env.fs, directory)
    }
    const file = env.fs.open(path, 'append')
    if (end < file.size()) file.truncate(end)
    return { log: new EpochLog(env, directory, file, end), records }
  }

  /** Reads a checkpoint without a change. Throws where it is damaged; `torn` bytes at its end were never relied on. */
  static check(
    env: Env,
    path: string,
  ): { readonly records: readonly EpochRecord[]; readonly end: number; readonly torn: number } {
    const content = env.fs.readFile(path)
    if (content.length < MAGIC.length || !MAGIC.every((byte, i) => content[i] === byte)) {
      throw new MillraceError('CHECKPOINT_CORRUPT', `${path} is not a checkpoint of this version`, {
        detail: `found ${Buffer.from(content.subarray(0, 8)).toString('latin1')}, expected MRCKPT01`,
        hint: 'use another checkpointLocation, or restore the file',
      })
    }
    const { records, end, following } = readRecords(content)
    if (end < content.length) assertTorn(path, content, end, records, following)
    return { records, end, torn: content.length - end }
  }

  /** Queues a record; nothing is on the disk before `sync`. */
  append(type: RecordType, epoch: number, payload: Uint8Array | object): void {
    const record = encodeRecord(type, epoch, encodedPayload(payload))
    this.#pending.push(record)
    this.#pendingBytes += record.length
  }

  write(): void {
    // The number of a closed file may by now be that of another.
    assert(!this.#closed, `the checkpoint in ${this.directory} is closed`)
    if (this.#pending.length === 0) return
    const bytes = new Uint8Array(this.#pendingBytes)
    let at = 0
    for (const record of this.#pending) {
      bytes.set(record, at)
      at += record.length
    }
    this.file.write(bytes, this.end)
    this.end += bytes.length
    this.#pending.length = 0
    this.#pendingBytes = 0
  }

  /** Resolves when everything appended before the call is on the disk. */
  async sync(): Promise<void> {
    this.write()
    try {
      await this.file.sync()
    } catch (error) {
      noteFailedSync(this.env.fs, this.directory)
      throw error
    }
  }

  /** Whether the past should be folded into a snapshot of `liveBytes`. */
  shouldCompact(liveBytes: number): boolean {
    return this.end > COMPACT_BYTES && this.end > 4 * liveBytes
  }

  /** Replaces the whole file by these records: temporary file, sync, rename, sync of the directory. */
  rewrite(records: readonly EpochRecord[]): void {
    assert(!this.#closed, `the checkpoint in ${this.directory} is closed`)
    this.#pending.length = 0
    this.#pendingBytes = 0
    const parts = [MAGIC, ...records.map((r, i) => encodeRecord(r.type, r.epoch, r.payload, records.length - i))]
    const content = Buffer.concat(parts)
    this.env.fs.replaceFile(pathIn(this.directory), content)
    this.file.close()
    this.file = this.env.fs.open(pathIn(this.directory), 'append')
    this.end = content.length
  }

  get byteSize(): number {
    return this.end
  }

  close(): void {
    this.#closed = true
    this.file.close()
  }
}

const pathIn = (directory: string): string => `${directory}/epochs.log`

export function recordJson<T>(record: EpochRecord): T {
  return JSON.parse(Buffer.from(record.payload).toString('utf8').replace(/\0+$/, '')) as T
}

export function encodedPayload(payload: Uint8Array | object): Uint8Array {
  return payload instanceof Uint8Array ? payload : toJson(payload)
}

export function jsonPayload(value: object): Uint8Array {
  return toJson(value)
}

/** JSON has no infinities; a watermark has. */
function toJson(value: object): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value))
}

function encodeRecord(type: RecordType, epoch: number, payload: Uint8Array, together = 0): Uint8Array {
  const length = (payload.length + 7) & ~7
  const record = new Uint8Array(HEADER + length)
  const view = new DataView(record.buffer)
  view.setUint32(0, length, true)
  view.setUint32(8, type, true)
  view.setUint32(12, together, true)
  view.setFloat64(16, epoch, true)
  record.set(payload, HEADER)
  view.setUint32(4, crc32c(record, 8, record.length) >>> 0, true)
  return record
}

interface ReadRecords {
  readonly records: EpochRecord[]
  /** Where what could not be read begins. */
  readonly end: number
  /** How many records behind the last one were written together with it. */
  readonly following: number
}

function readRecords(content: Uint8Array): ReadRecords {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength)
  const records: EpochRecord[] = []
  let at = MAGIC.length
  let following = 0
  while (at + HEADER <= content.length) {
    const length = view.getUint32(at, true)
    const end = at + HEADER + length
    if (length % 8 !== 0 || end > content.length) break
    if (crc32c(content, at + 8, end) >>> 0 !== view.getUint32(at + 4, true)) break
    following = Math.max(0, view.getUint32(at + 12, true) - 1)
    records.push({
      type: view.getUint32(at + 8, true) as RecordType,
      epoch: view.getFloat64(at + 16, true),
      payload: content.subarray(at + HEADER, end),
    })
    at = end
  }
  return { records, end: at, following }
}

/**
 * Is what lies from `at` on a torn write, which may be cut? What was written with the whole file is never torn. And a
 * `delivered` follows the sync of its epoch's commit: where that commit is not among the records before `at`, it lies in what cannot be
 * read, and was on the disk once. Cutting it would take the query back to a state that its sinks are beyond.
 */
function assertTorn(
  path: string,
  content: Uint8Array,
  at: number,
  before: readonly EpochRecord[],
  following: number,
): void {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength)
  let committed = -1
  for (const record of before) if (record.type === RecordType.commit) committed = record.epoch
  let relied = following > 0
  for (let next = at + 8; !relied && next + HEADER <= content.length; next += 8) {
    const length = view.getUint32(next, true)
    const end = next + HEADER + length
    const type = view.getUint32(next + 8, true)
    const together = view.getUint32(next + 12, true)
    const epoch = view.getFloat64(next + 16, true)
    // Looked at from the cheapest sign to the dearest: most places are no record at all.
    if (type < RecordType.start || type > RecordType.snapshot || !Number.isSafeInteger(epoch) || epoch < 0) continue
    if (length % 8 !== 0 || end > content.length || together > content.length / HEADER) continue
    const proves =
      together > 0 ||
      type === RecordType.snapshot ||
      (type === RecordType.delivered && length <= DELIVERED_BYTES_MAX && epoch > committed)
    relied = proves && crc32c(content, next + 8, end) >>> 0 === view.getUint32(next + 4, true)
  }
  if (!relied) return
  throw new MillraceError('CHECKPOINT_CORRUPT', `the checkpoint ${path} is corrupt at byte ${at}`, {
    detail: 'found a record whose checksum does not hold before records that were relied on; nothing was cut',
    hint: 'restore the file, or start the query with a new checkpointLocation',
  })
}
