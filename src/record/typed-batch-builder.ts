import { assert } from '../common/assert.js'
import { writeUtf8 } from '../common/utf8.js'
import type { BufferViews } from '../types/block.js'
import { BlockBuilder, type ColumnBuffer, ScratchFull } from '../types/block-builder.js'
import { compileRowEncoder, type RowEncoder } from '../types/column-builder.js'
import type { StructType } from '../types/data-type.js'
import { isWorthJoining, JOINED_LENGTH_MAX, joinedTileRows, noTexts, writeJoined } from '../types/joined-text.js'
import { WANTED_CODEC_SHIFT } from './batch-compression.js'
import {
  type BatchStamp,
  COLUMNS_PAYLOAD,
  COLUMNS_PAYLOAD_OFFSET,
  LOG_APPEND_TIME,
  NO_PRODUCER,
  sealBatch,
} from './batch-header.js'
import { Codec } from './codec.js'
import { encodeHeaders } from './headers.js'
import { KeyScatter, type Message } from './key-scatter.js'
import type { PartitionerName } from './partitioner.js'
import { BATCH_BYTES_MAX, cutBatches, greatest, type PreparedBatch, recordTooLarge } from './prepared-batch.js'
import { HEADERS_SLOT, KEY_HASH_SLOT, KEY_SLOT, TIMESTAMP_SLOT, topicRecordSchema, VALUE_SLOT } from './topic-record.js'
import type { TopicRules } from './topic-rules.js'

export interface BatchBuilderOptions {
  readonly partitions: number
  readonly partitioner?: PartitionerName
  /** Uniform in [0, 1): chooses the partitions of records without a key. */
  readonly random: () => number
  readonly batchBytesMax?: number
  /** Default: none. */
  readonly rules?: TopicRules | undefined
}

/** Most that one string or binary column of the scratch may take; prepare() then stops earlier. */
const SCRATCH_COLUMN_BYTES_MAX = 1 << 26

/** After so many calls of prepare() scratch memory that was needed once and is hardly used now is given back. */
const TRIM_INTERVAL = 1024

/**
 * The kernel of `producer.send` for a typed topic: objects in, record batches with a columns payload out.
 *
 *   for (let at = from; at < to; ) {
 *     at = builder.prepare(messages, at, to, now)
 *     for (const batch of builder.batches) builder.writeTo(batch, views, place(batch.partition, batch.byteLength), baseOffset)
 *   }
 *
 * prepare() checks everything and writes to scratch memory alone, so a message that does not fit throws
 * before anybody sees anything. It mostly takes all of the range; where strings are so long that the
 * scratch would not hold them it takes less, so a send that must be all or nothing calls validate() first.
 */
export class TypedBatchBuilder {
  readonly schema: StructType
  /** What prepare() made, by partition and in order within it. Good until the next prepare(). */
  readonly batches: PreparedBatch[] = []
  /** Whose batches writeTo() writes. */
  stamp: BatchStamp = NO_PRODUCER
  /** Larger batches are cut; undefined: only what is too large. */
  batchBytesAim: number | undefined
  /** The codec that the producer wants for what writeTo() writes; see batch-compression.ts. */
  wantedCodec: Codec = Codec.none

  readonly #scatter: KeyScatter
  readonly #builder: BlockBuilder
  readonly #encoder: RowEncoder
  readonly #batchBytesMax: number
  #sizes = new Float64Array(0)
  #busy = false
  #prepares = 0
  /** The partition whose bytes the builder is set to; -1 after a new prepare(). */
  #selected = -1

  constructor(valueSchema: StructType, options: BatchBuilderOptions) {
    this.schema = topicRecordSchema(valueSchema)
    this.#scatter = new KeyScatter(options.partitions, options.partitioner ?? 'murmur2', options.random, options.rules)
    this.#builder = new BlockBuilder(this.schema)
    this.#builder.setParts(options.partitions)
    this.#builder.columnBytesMax = SCRATCH_COLUMN_BYTES_MAX
    this.#encoder = compileRowEncoder(valueSchema, { root: 'messages', unwrap: true, firstSlot: VALUE_SLOT })
    this.#batchBytesMax = options.batchBytesMax ?? BATCH_BYTES_MAX
  }

  /** Where records without a key go now. */
  get stickyPartition(): number {
    return this.#scatter.sticky.current
  }

  /** Index in `messages` of each row that prepare() made. */
  get order(): Int32Array {
    return this.#scatter.order
  }

  /** Makes batches of messages [from, end) for some end ≤ to, which it returns. */
  prepare(messages: readonly Message[], from: number, to: number, defaultTimestamp: number): number {
    // A getter in a user's object could call send() again, and this scratch is in use.
    assert(!this.#busy, 'prepare() was called from within prepare()')
    this.#busy = true
    try {
      for (let end = to; ; ) {
        try {
          this.#encode(messages, from, end, defaultTimestamp)
          return end
        } catch (error) {
          if (!(error instanceof ScratchFull)) throw error
          if (end - from <= 1)
            throw recordTooLarge(`messages[${from}]`, `over ${SCRATCH_COLUMN_BYTES_MAX}`, this.#batchBytesMax)
          end = from + ((end - from) >> 1)
        }
      }
    } catch (error) {
      this.batches.length = 0
      throw error
    } finally {
      this.#busy = false
    }
  }

  /** Writes a whole record batch at `position`, a multiple of 8, and returns its byteLength, which is one too. */
  writeTo(batch: PreparedBatch, views: BufferViews, position: number, baseOffset: number): number {
    const { u8 } = views
    u8[position + 61] = 0
    u8[position + 62] = 0
    u8[position + 63] = 0
    if (batch.partition !== this.#selected) this.#select(batch.partition)
    this.#builder.writeTo(views, position + COLUMNS_PAYLOAD_OFFSET, batch.from, batch.to)
    sealBatch(views, position, {
      baseOffset,
      byteLength: batch.byteLength,
      attributes:
        COLUMNS_PAYLOAD | this.stamp.attributes | (this.wantedCodec << WANTED_CODEC_SHIFT) | this.#timestampType(),
      recordCount: batch.records,
      baseTimestamp: this.#scatter.timestamps[batch.from] as number,
      maxTimestamp: batch.maxTimestamp,
      producerId: this.stamp.producerId,
      producerEpoch: this.stamp.producerEpoch,
      baseSequence: this.stamp.baseSequence,
    })
    return batch.byteLength
  }

  /** Throws what prepare() of these messages would throw, and makes nothing. */
  validate(messages: readonly Message[], from: number, to: number): void {
    this.#scatter.check(messages, from, to)
    const count = to - from
    if (count > this.#sizes.length) this.#sizes = new Float64Array(count)
    this.#sizes.fill(0, 0, count)
    this.#encoder.validate(messages, from, to, this.#sizes)
    // What is certainly small enough is most of it; the rest is built to see.
    const fixed = COLUMNS_PAYLOAD_OFFSET + 64 + this.schema.fields.length * 16 + this.#builder.slots.length * 64
    for (let i = from; i < to; i++) {
      const message = messages[i] as Message
      const headers =
        message.headers === undefined || message.headers === null
          ? null
          : encodeHeaders(message.headers, `messages[${i}].headers`)
      const key = message.key
      const keyBytes = key === undefined || key === null ? 0 : key.length * 3
      const bound = fixed + keyBytes + (headers === null ? 0 : headers.length) + (this.#sizes[i - from] as number)
      if (bound > this.#batchBytesMax) {
        this.prepare(messages, i, i + 1, this.#scatter.rules?.now() ?? 0)
        this.batches.length = 0
      }
    }
  }

  #encode(messages: readonly Message[], from: number, to: number, defaultTimestamp: number): void {
    const builder = this.#builder
    const scatter = this.#scatter
    const count = to - from
    this.batches.length = 0
    this.#prepares += 1
    if (this.#prepares % TRIM_INTERVAL === 0) builder.trimParts()
    builder.reset()
    this.#selected = -1
    scatter.scatter(messages, from, to, defaultTimestamp)
    const end = scatter.rowsEnd()
    builder.ensureRows(end)
    builder.rows = end
    builder.gaps = end - count
    this.#clearGaps()
    this.#writeKeys(messages, from, to)
    this.#writeHeaders(messages, from, to)
    this.#encoder.encode(builder, messages, from, to, scatter.rows, scatter.parts)
    this.#cut()
  }

  #select(partition: number): void {
    this.#builder.selectPart(partition)
    this.#selected = partition
  }

  /** The bytes of every partition begin at 0. */
  #clearGaps(): void {
    const { firstRow, active, activeCount } = this.#scatter
    for (const column of this.#builder.columns) {
      if (column.kind !== 'bytes') continue
      const offsets = column.values
      for (let a = 0; a < activeCount; a++) offsets[firstRow[active[a] as number] as number] = 0
    }
  }

  #timestampType(): number {
    return this.#scatter.rules?.logAppendTime === true ? LOG_APPEND_TIME : 0
  }

  #cut(): void {
    const { firstRow, endRow, active, activeCount, timestamps, sticky, nullKeys } = this.#scatter
    const builder = this.#builder
    const keyless = nullKeys > 0 ? sticky.current : -1
    for (let a = 0; a < activeCount; a++) {
      const p = active[a] as number
      const from = firstRow[p] as number
      const to = endRow[p] as number
      this.#select(p)
      let total = 0
      const large = cutBatches(
        from,
        to,
        this.#batchBytesMax,
        (a, b) => COLUMNS_PAYLOAD_OFFSET + builder.byteLength(a, b),
        (a, b, byteLength) => {
          total += byteLength
          this.batches.push({
            partition: p,
            from: a,
            to: b,
            records: b - a,
            byteLength,
            maxTimestamp: greatest(timestamps, a, b),
          })
        },
        this.batchBytesAim,
      )
      if (large !== -1) {
        const bytes = COLUMNS_PAYLOAD_OFFSET + builder.byteLength(large, large + 1)
        throw recordTooLarge(`messages[${this.#scatter.order[large]}]`, bytes, this.#batchBytesMax)
      }
      if (p === keyless) sticky.wrote(total)
    }
  }

  /** Key, hash and timestamp. */
  #writeKeys(messages: readonly Message[], from: number, to: number): void {
    const builder = this.#builder
    const { partCount } = builder
    const { rows, parts, hashes, timestamps } = this.#scatter
    const isJoining = isWorthJoining(to - from, partCount)
    const tileRows = isJoining ? joinedTileRows(partCount) : to - from
    const column = builder.columns[KEY_SLOT] as ColumnBuffer
    const offsets = column.values
    const ends = column.partEnds
    const hashColumn = (builder.columns[KEY_HASH_SLOT] as ColumnBuffer).values
    const words = (builder.columns[TIMESTAMP_SLOT] as ColumnBuffer).values
    for (let tile = from; tile < to; tile += tileRows) {
      const tileEnd = Math.min(to, tile + tileRows)
      const texts = noTexts(partCount)
      for (let i = tile, n = tile - from; i < tileEnd; i++, n++) {
        const row = rows[n] as number
        const part = parts[n] as number
        hashColumn[row] = hashes[n] as number
        const timestamp = timestamps[row] as number
        words[2 * row] = timestamp | 0
        words[2 * row + 1] = Math.floor(timestamp / 4294967296)
        const key = (messages[i] as Message).key
        let end = ends[part] as number
        if (isJoining && typeof key === 'string' && key.length <= JOINED_LENGTH_MAX) {
          texts[part] += key
          end += key.length
        } else {
          if (texts[part] !== '') {
            writeJoined(builder, KEY_SLOT, part, texts[part] as string, rows, parts, tile - from, n)
            texts[part] = ''
            end = ends[part] as number
          }
          end = this.#writeKey(key, row, part, end)
        }
        ends[part] = end
        offsets[row + 1] = end
      }
      if (!isJoining) continue
      for (let part = 0; part < partCount; part++) {
        if (texts[part] !== '')
          writeJoined(builder, KEY_SLOT, part, texts[part] as string, rows, parts, tile - from, tileEnd - from)
      }
    }
  }

  /** One that is not among the joined ones. */
  #writeKey(key: string | Uint8Array | null | undefined, row: number, part: number, end: number): number {
    const builder = this.#builder
    const column = builder.columns[KEY_SLOT] as ColumnBuffer
    if (typeof key === 'string') {
      return writeUtf8(builder.ensurePartBytes(KEY_SLOT, part, end, end + key.length * 3), end, key)
    }
    if (key === null || key === undefined) {
      column.valid[row] = 0
      column.nullCount++
      return end
    }
    builder.ensurePartBytes(KEY_SLOT, part, end, end + key.length).set(key, end)
    return end + key.length
  }

  #writeHeaders(messages: readonly Message[], from: number, to: number): void {
    const builder = this.#builder
    const { rows, parts, withHeaders } = this.#scatter
    const column = builder.columns[HEADERS_SLOT] as ColumnBuffer
    const ends = column.partEnds
    if (withHeaders === 0) {
      column.valid.fill(0, 0, builder.rows)
      column.values.fill(0, 0, builder.rows + 1)
      column.nullCount = to - from
      return
    }
    for (let i = from, n = 0; i < to; i++, n++) {
      const row = rows[n] as number
      const part = parts[n] as number
      const encoded = encodeHeaders((messages[i] as Message).headers, `messages[${i}].headers`)
      const end = ends[part] as number
      if (encoded === null) {
        column.valid[row] = 0
        column.nullCount++
      } else {
        builder.ensurePartBytes(HEADERS_SLOT, part, end, end + encoded.length).set(encoded, end)
        ends[part] = end + encoded.length
      }
      column.values[row + 1] = ends[part] as number
    }
  }
}
