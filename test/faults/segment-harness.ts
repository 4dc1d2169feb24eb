import assert from 'node:assert/strict'
import { crc32c } from '../../src/common/checksum.js'
import type { FileHandle } from '../../src/common/env.js'
import { MillraceError } from '../../src/common/errors.js'
import { modulesLoaded } from '../../src/common/lazy-module.js'
import { ControlArena } from '../../src/log/control-arena.js'
import { PartitionControl } from '../../src/log/partition-control.js'
import type { PartitionDescriptor } from '../../src/log/partition-descriptor.js'
import { PartitionReader } from '../../src/log/partition-reader.js'
import { segmentPath } from '../../src/log/segment-files.js'
import { createSharedLogMemory, LogMemory } from '../../src/log/shared-memory.js'
import { packBatches } from '../../src/record/batch-compression.js'
import {
  ATTRIBUTES,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH,
  baseOffsetOf,
  batchByteLength,
  CRC,
  nextOffsetOf,
} from '../../src/record/batch-header.js'
import { Codec, canCompress, defaultLevels } from '../../src/record/codec.js'
import { ControlType, markerWriter, transactionMarker } from '../../src/record/control-record.js'
import type { Message } from '../../src/record/key-scatter.js'
import { RowsBatchBuilder } from '../../src/record/rows-batch-builder.js'
import { RecordCursor } from '../../src/record/rows-payload.js'
import { viewsOf } from '../../src/types/block.js'
import { envOf, MemoryFileSystem } from '../log/memory-file-system.js'
import { below } from './report.js'

// Where Node cannot require ES modules (a loader translates them), what is loaded by its first use is there from the beginning.
await modulesLoaded()

/**
 * Segments whose every record is known, readable as often as one likes after something was done to their bytes. What the reader gives
 * must be the record that was written at that offset, and together with what it says it skipped, every offset must be accounted for.
 */
export interface BuiltSegment {
  readonly baseOffset: number
  readonly bytes: Uint8Array
  /** Where each batch begins. */
  readonly starts: readonly number[]
  readonly endOffset: number
}

interface KnownRecord {
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Buffer
}

const codecs = [Codec.none, Codec.none, Codec.gzip, Codec.snappy, Codec.lz4, Codec.zstd].filter(canCompress)
const DIRECTORY = '/log/t-0'
const TIMESTAMP = 1_750_000_000_000

/** Files whose names are known: listing them anew for every segment would be what is measured. */
class SegmentFiles extends MemoryFileSystem {
  #names: string[] | undefined

  override list(path: string): string[] {
    this.#names ??= super.list(path)
    return this.#names
  }

  override replaceFile(path: string, content: Uint8Array | string): void {
    if (!this.files.has(path)) this.#names = undefined
    super.replaceFile(path, content)
  }

  override open(path: string, mode: 'read' | 'append'): FileHandle {
    if (!this.files.has(path)) this.#names = undefined
    return super.open(path, mode)
  }
}

export class SegmentBench {
  readonly segments: BuiltSegment[] = []
  readonly fs = new SegmentFiles()
  readonly #known = new Map<number, KnownRecord>()
  readonly #markers = new Set<number>()
  readonly #memory = new LogMemory(createSharedLogMemory(16 * 1024 * 1024), 0)
  readonly #partition: PartitionDescriptor
  #endOffset = 0

  constructor(
    private readonly random: () => number,
    segments: number,
    segmentBytes: number,
  ) {
    for (let s = 0; s < segments; s++) this.#build(segmentBytes)
    this.#partition = {
      topicId: 'id',
      topic: 't',
      partition: 0,
      ordinal: 0,
      ...new ControlArena().next(),
      directory: DIRECTORY,
      ackWhen: 'written',
      leaderEpochs: [],
    }
    const control = new PartitionControl(this.#partition.control, this.#partition.controlOffset)
    control.initialize(0, this.#endOffset, true)
    for (const segment of this.segments) this.put(segment.baseOffset, segment.bytes)
  }

  get endOffset(): number {
    return this.#endOffset
  }

  put(baseOffset: number, bytes: Uint8Array): void {
    this.fs.replaceFile(segmentPath(DIRECTORY, baseOffset, 'log'), bytes)
  }

  get(baseOffset: number): Uint8Array {
    const handle = this.fs.open(segmentPath(DIRECTORY, baseOffset, 'log'), 'read')
    const bytes = new Uint8Array(handle.size())
    handle.read(bytes, 0)
    return bytes
  }

  putIndex(suffix: 'index' | 'timeindex', baseOffset: number, bytes: Uint8Array): void {
    this.fs.replaceFile(segmentPath(DIRECTORY, baseOffset, suffix), bytes)
  }

  reader(): PartitionReader {
    return new PartitionReader({
      partition: this.#partition,
      memory: this.#memory,
      env: envOf(this.fs),
      skipDamage: true,
    })
  }

  /**
   * Reads everything there is. `isTrusted`: checksums were not made anew, so a record that is given is the one that was written. How
   * many records were given, skipped and refused, and how many batches stood in another's place with nobody to say so.
   */
  readAll(isTrusted: boolean): { given: number; skipped: number; refused: number; untold: number } {
    const reader = this.reader()
    let given = 0
    let refused = 0
    let untold = 0
    reader.seek(0)
    // A reader that goes round in circles has been here too often.
    for (let batches = 0; reader.next(); batches++) {
      assert.ok(batches <= this.#endOffset, 'more batches than there are offsets')
      try {
        const cursor = RecordCursor.ofBatch(reader.views, reader.position)
        while (cursor.next()) {
          if (cursor.hasHeaders) cursor.headers()
          given += 1
          if (!isTrusted || this.#isKnown(cursor)) continue
          if (!this.#isUntellable(reader.baseOffset)) throw new Error(`offset ${cursor.offset} is not what was written`)
          untold += 1
          given += Math.max(0, reader.lastOffset - cursor.offset)
          break
        }
      } catch (error) {
        refused += 1
        expectRefusal(error)
        assert.ok(!isTrusted, `the batch at offset ${reader.baseOffset} is refused: ${String(error)}`)
      }
    }
    const { skipped } = reader
    reader.close()
    // Markers are shown to nobody: they are given where nothing of them was skipped, and counted as both where it was.
    return { given: given + this.#markers.size, skipped, refused, untold }
  }

  #isKnown(cursor: RecordCursor): boolean {
    const known = this.#known.get(cursor.offset)
    return (
      known !== undefined &&
      cursor.timestamp === known.timestamp &&
      sameBytes(cursor.u8, cursor.keyStart, cursor.keyEnd, known.key) &&
      sameBytes(cursor.u8, cursor.valueStart, cursor.valueEnd, known.value) &&
      sameBytes(cursor.u8, cursor.headersStart, cursor.headersEnd, known.headers)
    )
  }

  /**
   * The one thing that Kafka's format cannot tell (docs/guarantees.md): a batch as it was written but for its base offset, which its checksum does
   * not cover, stands where another is gone, and none of the whole batches on its sides contradicts what it claims.
   */
  #isUntellable(baseOffset: number): boolean {
    const segment = this.segments.findLast((each) => each.baseOffset <= baseOffset)
    if (segment === undefined) return false
    const bytes = this.get(segment.baseOffset)
    const whole = wholeBatches(bytes)
    const at = whole.findIndex((batch) => batch.baseOffset === baseOffset)
    const batch = whole[at]
    if (batch === undefined) return false
    const content = Buffer.from(bytes.subarray(batch.start + BATCH_LENGTH, batch.end))
    const written = this.segments.some((each) =>
      wholeBatches(each.bytes).some(
        (one) =>
          one.baseOffset !== baseOffset && content.equals(each.bytes.subarray(one.start + BATCH_LENGTH, one.end)),
      ),
    )
    const [first, before, behind, last] = [whole[at - 2], whole[at - 1], whole[at + 1], whole[at + 2]]
    // What the batch before is, if what stands before that says otherwise than it: as long as what is missing there, or a witness.
    const expected =
      before?.start === 0 ? segment.baseOffset : first?.end === before?.start ? first?.nextOffset : undefined
    const isMoved =
      before !== undefined &&
      expected !== undefined &&
      before.baseOffset !== expected &&
      before.nextOffset - before.baseOffset === baseOffset - expected
    const isRefuted = last !== undefined && last.start === behind?.end && last.baseOffset !== behind.nextOffset
    const isContradicted =
      (before?.end === batch.start && before.nextOffset !== baseOffset && !isMoved) ||
      (behind?.start === batch.end && behind.baseOffset !== batch.nextOffset && !isRefuted)
    return written && !isContradicted
  }

  #build(segmentBytes: number): void {
    const { random } = this
    const views = viewsOf(new ArrayBuffer(1 << 20))
    const builder = new RowsBatchBuilder({ partitions: 1, random: () => 0 })
    const parts: Uint8Array[] = []
    const starts: number[] = []
    const baseOffset = this.#endOffset
    let bytes = 0
    while (bytes < segmentBytes) {
      let length: number
      const first = this.#endOffset
      if (below(random, 12) === 0) {
        const type = below(random, 2) === 0 ? ControlType.abort : ControlType.commit
        const marker = {
          type,
          producerId: 7,
          producerEpoch: 0,
          coordinatorEpoch: 0,
          timestamp: TIMESTAMP + first,
          aligned: false,
        }
        length = markerWriter.writeTo(transactionMarker(marker), views, 0, first)
        this.#markers.add(first)
        this.#endOffset += 1
      } else {
        const left = segmentBytes - bytes
        const messages = Array.from({ length: 1 + below(random, left < 400 ? 2 : 8) }, (_, i) =>
          this.#message(first + i),
        )
        builder.prepare(messages, 0, messages.length, 0)
        const [batch] = builder.batches
        if (batch === undefined) throw new Error('no batch was made')
        length = builder.writeTo(batch, views, 0, first)
        this.#endOffset += messages.length
        this.#learn(views.u8, length, first)
      }
      const codec = codecs[below(random, codecs.length)] ?? Codec.none
      const run = packBatches(views, 0, length, { codec, levels: defaultLevels })
      starts.push(bytes)
      parts.push(run.views.u8.slice(run.from, run.to))
      bytes += run.to - run.from
    }
    this.segments.push({ baseOffset, bytes: new Uint8Array(Buffer.concat(parts)), starts, endOffset: this.#endOffset })
  }

  #message(offset: number): Message {
    const { random } = this
    const kind = below(random, 6)
    return {
      key: kind === 0 ? null : `key-${below(random, 20)}`,
      value: kind === 1 ? null : `value ${offset} `.repeat(1 + below(random, 12)),
      headers: kind === 2 ? { trace: `t${offset}`, many: ['a', 'b'] } : undefined,
      timestamp: TIMESTAMP + offset * 10 - below(random, 30),
    }
  }

  #learn(u8: Uint8Array, length: number, first: number): void {
    const views = viewsOf(new ArrayBuffer((length + 7) & ~7))
    views.u8.set(u8.subarray(0, length))
    const cursor = RecordCursor.ofBatch(views, 0)
    assert.equal(cursor.baseOffset, first)
    while (cursor.next()) {
      this.#known.set(cursor.offset, {
        timestamp: cursor.timestamp,
        key: cursor.keyStart === -1 ? null : Buffer.from(views.u8.slice(cursor.keyStart, cursor.keyEnd)),
        value: cursor.valueStart === -1 ? null : Buffer.from(views.u8.slice(cursor.valueStart, cursor.valueEnd)),
        headers: Buffer.from(views.u8.slice(cursor.headersStart, cursor.headersEnd)),
      })
    }
  }
}

/** What a reader may say of bytes that lie under a right checksum. */
const refusals = new Set(['RECORD_CORRUPT', 'DECOMPRESSION_LIMIT', 'FORMAT_NEWER', 'BLOCK_CORRUPT'])

export function expectRefusal(error: unknown): void {
  if (error instanceof MillraceError && refusals.has(error.code)) return
  throw error
}

function sameBytes(u8: Uint8Array, from: number, to: number, known: Buffer | null): boolean {
  if (from === -1 || known === null) return from === -1 && known === null
  if (to - from !== known.length) return false
  for (let i = from, k = 0; i < to; i++, k++) if (u8[i] !== known[k]) return false
  return true
}

export interface WholeBatch {
  readonly start: number
  readonly end: number
  readonly baseOffset: number
  readonly nextOffset: number
}

/** The batches of a file whose checksums hold, wherever they lie. */
export function wholeBatches(bytes: Uint8Array): WholeBatch[] {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const found: WholeBatch[] = []
  for (let start = 0; start + BATCH_HEADER_BYTES <= bytes.length; ) {
    const end = batchEnd(bytes, start)
    const isWhole =
      end >= start + BATCH_HEADER_BYTES &&
      end <= bytes.length &&
      dv.getUint32(start + CRC) === crc32c(bytes, start + ATTRIBUTES, end)
    if (isWhole) found.push({ start, end, baseOffset: baseOffsetOf(dv, start), nextOffset: nextOffsetOf(dv, start) })
    start = isWhole ? end : start + 1
  }
  return found
}

/** The end of the batch at `start`, by its own length. */
export function batchEnd(bytes: Uint8Array, start: number): number {
  return start + batchByteLength(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), start)
}
