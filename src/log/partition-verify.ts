import type { Env } from '../common/env.js'
import { toErrorShape } from '../common/errors.js'
import {
  batchAttributes,
  batchByteLength,
  batchRecordCount,
  COLUMNS_PAYLOAD_OFFSET,
  CONTROL,
  hasColumnsPayload,
} from '../record/batch-header.js'
import { RecordCursor } from '../record/rows-payload.js'
import { sparseFault } from '../record/sparse-offsets.js'
import { topicRecordSchema } from '../record/topic-record.js'
import type { BufferViews } from '../types/block.js'
import { blockRowCount } from '../types/block.js'
import { checkSlots } from '../types/block-check.js'
import { type ColumnSlot, columnSlots, type StructType } from '../types/data-type.js'
import { BatchOpener } from './batch-opener.js'
import { BatchScan } from './batch-scan.js'
import { FileWindow } from './file-window.js'
import { OffsetIndex } from './offset-index.js'
import { listSegments, segmentPath } from './segment-files.js'
import { TimeIndex } from './time-index.js'
import { TransactionIndex } from './transaction-index.js'
import type { WorkSlices } from './work-slices.js'

/** Offsets that cannot be read, and why. */
export interface DamagedOffsets {
  readonly topic: string
  readonly partition: number
  readonly fromOffset: number
  /** The first offset behind the damage. */
  readonly toOffset: number
  readonly file: string
  readonly byte: number
  readonly reason: string
}

/** Bytes at the end that no sync has covered: the next opening cuts them, and nobody was told that they are there. */
export interface TornTail {
  readonly file: string
  readonly byte: number
  readonly bytes: number
  readonly reason: string
}

export interface PartitionToVerify {
  readonly topic: string
  readonly partition: number
  readonly directory: string
  readonly schema: StructType | undefined
  readonly dense: boolean
  /** Below it everything was synced once. */
  readonly recoveryPoint: number
  /** What is in files of each segment, where an engine is still writing; else all there is. */
  readonly sizes?: ReadonlyMap<number, number>
}

export interface PartitionFindings {
  readonly segments: number
  readonly batches: number
  readonly records: number
  readonly bytes: number
  /** The next offset to be given, as far as the files tell. */
  readonly endOffset: number
  readonly damaged: readonly DamagedOffsets[]
  readonly torn: readonly TornTail[]
  /** What is not as it should be and costs nothing: an index is made anew, a temporary file goes. */
  readonly warnings: readonly string[]
}

/** Called for every whole batch, with its bytes as they are in the file. */
export type WholeBatch = (segmentBase: number, views: BufferViews, position: number, byteLength: number) => void

/**
 * Walks every file of a partition and believes none: each batch's length, checksum and place, what is inside once it is unpacked, and
 * what the indexes say. Nothing is written.
 */
export class PartitionVerifier {
  readonly #slots: readonly ColumnSlot[] | undefined
  readonly #opener = new BatchOpener()
  readonly #damaged: DamagedOffsets[] = []
  readonly #torn: TornTail[] = []
  readonly #warnings: string[] = []
  #window: FileWindow | undefined
  #batches = 0
  #records = 0
  #bytes = 0
  #nextOffset = 0

  constructor(
    readonly env: Env,
    readonly partition: PartitionToVerify,
    readonly slices: WorkSlices,
    readonly onBatch: WholeBatch = () => undefined,
  ) {
    this.#slots = partition.schema === undefined ? undefined : columnSlots(topicRecordSchema(partition.schema))
  }

  async run(): Promise<PartitionFindings> {
    const { env, partition } = this
    const bases = listSegments(env.fs, partition.directory)
    this.#nextOffset = bases[0] ?? partition.recoveryPoint
    for (const name of env.fs.list(partition.directory)) {
      if (/\.(swap|cleaned|replaces|deleted)$/.test(name))
        this.#warnings.push(
          `${partition.directory}/${name}: left by work that was interrupted; the next opening finishes it`,
        )
      if (name.endsWith('.cut'))
        this.#warnings.push(`${partition.directory}/${name}: cut off by an earlier recovery, kept`)
    }
    for (let i = 0; i < bases.length; i++) {
      const base = bases[i] as number
      if (partition.dense && base > this.#nextOffset) {
        this.#damage(
          this.#nextOffset,
          base,
          base,
          0,
          `the segment begins at offset ${base}, expected ${this.#nextOffset}`,
        )
      } else if (base < this.#nextOffset) {
        this.#warnings.push(
          `${segmentPath(partition.directory, base, 'log')}: offsets below ${this.#nextOffset} are in the segment before too`,
        )
      }
      this.#nextOffset = Math.max(base, this.#nextOffset)
      await this.#segment(base, bases[i + 1])
    }
    if (this.#nextOffset < partition.recoveryPoint) {
      const last = bases[bases.length - 1] ?? 0
      this.#damage(this.#nextOffset, partition.recoveryPoint, last, 0, 'the files end before the recovery point')
      this.#nextOffset = partition.recoveryPoint
    }
    return {
      segments: bases.length,
      batches: this.#batches,
      records: this.#records,
      bytes: this.#bytes,
      endOffset: this.#nextOffset,
      damaged: this.#damaged,
      torn: this.#torn,
      warnings: this.#warnings,
    }
  }

  async #segment(base: number, following: number | undefined): Promise<void> {
    const { env, partition } = this
    const path = segmentPath(partition.directory, base, 'log')
    const handle = env.fs.open(path, 'read')
    try {
      const size = partition.sizes?.get(base) ?? handle.size()
      this.#bytes += size
      this.#window = this.#window?.reuse(handle) ?? new FileWindow(handle)
      const scan = new BatchScan(
        this.#window,
        size,
        partition.dense,
        undefined,
        partition.dense ? following : undefined,
      )
      let next = base
      for (let position = 0; position < size; ) {
        if (this.slices.isOver) await this.slices.next()
        const isWhole = scan.check(position, next)
        const faultAt = !isWhole ? position : following === undefined ? -1 : scan.contradictedAt(following)
        if (faultAt === -1) {
          this.#batch(base, scan)
          position += scan.batch.byteLength
          next = scan.batch.lastOffset + 1
          continue
        }
        const reason = scan.fault
        const limit = following ?? Number.MAX_SAFE_INTEGER
        const resync = scan.resync(faultAt + 1, next + 1, limit)
        if (resync === undefined && following === undefined && next >= partition.recoveryPoint) {
          this.#torn.push({ file: path, byte: position, bytes: size - position, reason })
          break
        }
        const to = resync?.baseOffset ?? following ?? Math.max(partition.recoveryPoint, next)
        this.#damage(next, to, base, position, reason)
        next = to
        if (resync === undefined) break
        position = resync.position
      }
      this.#nextOffset = Math.max(this.#nextOffset, next)
      this.#indexes(base, size)
    } finally {
      handle.close()
    }
  }

  #batch(base: number, scan: BatchScan): void {
    const { views } = scan.window
    const position = scan.window.at(scan.batch.position)
    this.#batches += 1
    try {
      const records = batchRecordCount(views.dv, position)
      if (records > 0) this.#inside(views, position)
      if ((batchAttributes(views.dv, position) & CONTROL) === 0) this.#records += records
    } catch (error) {
      const { message, detail } = toErrorShape(error)
      const reason = `the checksum holds and the content does not: ${message}${detail === undefined ? '' : `; ${detail}`}`
      this.#damage(scan.batch.baseOffset, scan.batch.lastOffset + 1, base, scan.batch.position, reason)
      return
    }
    this.onBatch(base, views, position, scan.batch.byteLength)
  }

  #inside(packed: BufferViews, at: number): void {
    this.#opener.open(packed, at, `${this.partition.topic}-${this.partition.partition}`)
    const { views, position } = this.#opener
    const rows = batchRecordCount(views.dv, position)
    if (!hasColumnsPayload(views.dv, position)) {
      const cursor = RecordCursor.ofBatch(views, position)
      let before = -1
      while (cursor.next()) {
        if (cursor.offset <= before) throw new Error(`offset ${cursor.offset} after ${before}`)
        before = cursor.offset
      }
      return
    }
    if (this.#slots === undefined) throw new Error('columns in a topic without a schema')
    const end = position + batchByteLength(views.dv, position)
    checkSlots(views, position + COLUMNS_PAYLOAD_OFFSET, end, this.#slots)
    const found = blockRowCount(views, position + COLUMNS_PAYLOAD_OFFSET)
    if (found !== rows) throw new Error(`${found} rows, the header says ${rows}`)
    const sparse = sparseFault(views, position, end - position, rows)
    if (sparse !== undefined) throw new Error(sparse)
  }

  #indexes(base: number, size: number): void {
    const { fs } = this.env
    const { directory } = this.partition
    const told = (suffix: 'index' | 'timeindex' | 'txnindex', fault: string | undefined): void => {
      if (fault === undefined) return
      this.#warnings.push(`${segmentPath(directory, base, suffix)}: ${fault}; it is not needed, and is not believed`)
    }
    told('index', OffsetIndex.load(fs, segmentPath(directory, base, 'index')).fault(size))
    told('timeindex', TimeIndex.load(fs, segmentPath(directory, base, 'timeindex')).fault())
    told('txnindex', TransactionIndex.load(fs, segmentPath(directory, base, 'txnindex')).fault(base))
  }

  #damage(fromOffset: number, toOffset: number, base: number, byte: number, reason: string): void {
    const { topic, partition, directory } = this.partition
    this.#damaged.push({
      topic,
      partition,
      fromOffset,
      toOffset,
      file: segmentPath(directory, base, 'log'),
      byte,
      reason,
    })
  }
}
