import type { Env } from '../common/env.js'
import { batchAttributes, batchRecordCount, CONTROL } from '../record/batch-header.js'
import type { BufferViews } from '../types/block.js'
import type { StructType } from '../types/data-type.js'
import { BatchContent } from './batch-content.js'
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
  readonly #content: BatchContent
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
    this.#content = new BatchContent(partition.schema)
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
        const resumeAt = isWhole ? this.#contradictedAt(scan, next, following) : position + 1
        if (resumeAt === -1) {
          this.#batch(base, scan)
          position += scan.batch.byteLength
          next = scan.batch.lastOffset + 1
          continue
        }
        const reason = scan.fault
        const limit = following ?? Number.MAX_SAFE_INTEGER
        const resync = scan.resync(resumeAt, next + 1, limit)
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
    const records = batchRecordCount(views.dv, position)
    const fault = this.#content.fault(views, position, `${this.partition.topic}-${this.partition.partition}`)
    if ((batchAttributes(views.dv, position) & CONTROL) === 0) this.#records += fault === undefined ? records : 0
    if (fault !== undefined) {
      const reason = `the checksum holds and the content does not: ${fault}`
      this.#damage(scan.batch.baseOffset, scan.batch.lastOffset + 1, base, scan.batch.position, reason)
      return
    }
    this.onBatch(base, views, position, scan.batch.byteLength)
  }

  /** Above the recovery point of the last segment what does not fit is torn, and nothing speaks for it. */
  #contradictedAt(scan: BatchScan, offset: number, following: number | undefined): number {
    if (following !== undefined) return scan.contradictedAt(following)
    const { recoveryPoint } = this.partition
    return offset < recoveryPoint ? scan.contradictedAt(recoveryPoint) : -1
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
