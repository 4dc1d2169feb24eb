import { assert } from '../common/assert.js'
import { grownBytes, newBytes, SCRATCH_BYTES_MAX, varintLength, writeVarint } from '../common/bytes.js'
import { utf8Length, writeUtf8 } from '../common/utf8.js'
import type { BufferViews } from '../types/block.js'
import { invalidValue } from '../types/invalid-value.js'
import { isBytes } from '../types/user-value.js'
import { WANTED_CODEC_SHIFT } from './batch-compression.js'
import { BATCH_HEADER_BYTES, type BatchStamp, LOG_APPEND_TIME, NO_PRODUCER, sealBatch } from './batch-header.js'
import { leaveStage, stagePosition, takeStage } from './batch-stage.js'
import { Codec } from './codec.js'
import { encodeHeaders } from './headers.js'
import { KeyScatter, type Message } from './key-scatter.js'
import { copyKey } from './key-texts.js'
import {
  BATCH_BYTES_MAX,
  cutBatches,
  FIELD_BYTES_MAX,
  greatest,
  type PreparedBatch,
  recordTooLarge,
} from './prepared-batch.js'
import { recordBodyLength, writeRecordHead } from './rows-payload.js'
import type { BatchBuilderOptions } from './typed-batch-builder.js'

/** Bytes of strings that prepare() holds at once; it stops earlier rather than hold more. */
const SCRATCH_TEXT_BYTES_MAX = 1 << 26

/** More than this is given back before the next call. */
const KEPT_TEXT_BYTES = 1 << 23

/**
 * The same for an untyped topic: keys and values are strings or bytes, batches hold Kafka's records byte for
 * byte. Strings become UTF-8 in a scratch; bytes are taken from the user's arrays when the batch is written,
 * and an array that became shorter by then fails an assertion.
 */
export class RowsBatchBuilder {
  readonly batches: PreparedBatch[] = []
  /** Whose batches writeTo() writes. */
  stamp: BatchStamp = NO_PRODUCER
  /** Larger batches are cut; undefined: only what is too large. */
  batchBytesAim: number | undefined
  /** The codec that the producer wants for what writeTo() writes; see batch-compression.ts. */
  wantedCodec: Codec = Codec.none
  readonly #scatter: KeyScatter
  readonly #batchBytesMax: number
  /** Of row r: bytes of key, value and headers; -1 = null, and 0 = no headers. */
  #lengths = new Int32Array(0)
  /** Of row r in its batch: what the length field of its record says. */
  #bodies = new Int32Array(0)
  /** Where the row's strings begin in #text: key, then value; bytes are in #keys and #values instead. */
  #textStart = new Int32Array(0)
  #keys: (Uint8Array | undefined)[] = []
  #values: (Uint8Array | undefined)[] = []
  #headers: (Uint8Array | null)[] = []
  #text: Uint8Array = newBytes(1024)
  #busy = false

  constructor(options: BatchBuilderOptions) {
    this.#scatter = new KeyScatter(options.partitions, options.partitioner ?? 'murmur2', options.random, options.rules)
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

  /** Makes batches of messages [from, end) for some end ≤ to, which it returns. See TypedBatchBuilder. */
  prepare(messages: readonly Message[], from: number, to: number, defaultTimestamp: number): number {
    assert(!this.#busy, 'prepare() was called from within prepare()')
    this.#busy = true
    this.batches.length = 0
    try {
      let end = to
      while (!this.#encode(messages, from, end, defaultTimestamp)) end = from + Math.max(1, (end - from) >> 1)
      return end
    } catch (error) {
      this.batches.length = 0
      throw error
    } finally {
      this.#busy = false
    }
  }

  /** Writes a whole record batch at `position` and returns its byteLength. */
  writeTo(batch: PreparedBatch, views: BufferViews, position: number, baseOffset: number): number {
    const { timestamps } = this.#scatter
    const stage = takeStage(batch.byteLength)
    const u8 = stage.u8
    const lengths = this.#lengths
    const bodies = this.#bodies
    const textStart = this.#textStart
    const keys = this.#keys
    const values = this.#values
    const baseTimestamp = timestamps[batch.from] as number
    const start = stagePosition(position)
    let at = start + BATCH_HEADER_BYTES
    for (let row = batch.from; row < batch.to; row++) {
      const keyLength = lengths[3 * row] as number
      const valueLength = lengths[3 * row + 1] as number
      const headersLength = lengths[3 * row + 2] as number
      const timestampDelta = (timestamps[row] as number) - baseTimestamp
      at = writeRecordHead(u8, at, bodies[row] as number, timestampDelta, row - batch.from, keyLength)
      let text = textStart[row] as number
      const key = keys[row]
      if (keyLength > 0) {
        if (key === undefined) {
          copyBytes(this.#text, text, keyLength, u8, at)
          text += keyLength
        } else copyBytes(key, 0, keyLength, u8, at)
        at += keyLength
      }
      at = writeVarint(u8, at, valueLength)
      if (valueLength > 0) {
        const value = values[row]
        if (value === undefined) copyBytes(this.#text, text, valueLength, u8, at)
        else copyBytes(value, 0, valueLength, u8, at)
        at += valueLength
      }
      if (headersLength === 0) u8[at++] = 0
      else {
        u8.set(this.#headers[row] as Uint8Array, at)
        at += headersLength
      }
    }
    assert(at - start === batch.byteLength, `batch took ${at - start} bytes, ${batch.byteLength} were planned`)
    sealBatch(stage, start, {
      baseOffset,
      byteLength: batch.byteLength,
      attributes: this.stamp.attributes | (this.wantedCodec << WANTED_CODEC_SHIFT) | this.#timestampType(),
      recordCount: batch.records,
      baseTimestamp,
      maxTimestamp: batch.maxTimestamp,
      producerId: this.stamp.producerId,
      producerEpoch: this.stamp.producerEpoch,
      baseSequence: this.stamp.baseSequence,
    })
    leaveStage(batch.byteLength, views, position)
    return batch.byteLength
  }

  /** Throws what prepare() of these messages would throw, and makes nothing. */
  validate(messages: readonly Message[], from: number, to: number): void {
    this.#scatter.check(messages, from, to)
    for (let i = from; i < to; i++) {
      const message = messages[i] as Message
      const headers = encodeHeaders(message.headers, `messages[${i}].headers`)
      const value = message.value
      if (value !== null && typeof value !== 'string' && !isBytes(value)) throw badValue(i, value)
      const bound =
        ((message.key?.length ?? 0) + (value?.length ?? 0)) * 3 + (headers?.length ?? 0) + BATCH_HEADER_BYTES + 64
      if (bound > this.#batchBytesMax) {
        this.prepare(messages, i, i + 1, this.#scatter.rules?.now() ?? 0)
        this.batches.length = 0
      }
    }
  }

  /** False where the strings are more than the scratch may hold. */
  #encode(messages: readonly Message[], from: number, to: number, defaultTimestamp: number): boolean {
    const scatter = this.#scatter
    const count = to - from
    scatter.scatter(messages, from, to, defaultTimestamp)
    this.#ensure(scatter.rowsEnd())
    const { rows, keys: texts } = scatter
    const lengths = this.#lengths
    const textStart = this.#textStart
    const keys = this.#keys
    const values = this.#values
    const headersOf = this.#headers
    let end = 0
    if (this.#text.length > KEPT_TEXT_BYTES) this.#text = newBytes(KEPT_TEXT_BYTES)
    for (let n = 0; n < count; n++) {
      const index = from + n
      const row = rows[n] as number
      const { key, value, headers } = messages[index] as Message
      textStart[row] = end
      keys[row] = undefined
      values[row] = undefined
      if (typeof key === 'string') {
        const start = end
        const keyStart = texts.startOf(n)
        const keyEnd = texts.ends[n] as number
        if (keyEnd > keyStart) {
          if (end + keyEnd - keyStart > this.#text.length)
            this.#text = grownBytes(this.#text, end, end + keyEnd - keyStart)
          end = copyKey(texts.bytes, keyStart, keyEnd, this.#text, end)
        } else end = this.#writeText(end, key, index)
        lengths[3 * row] = end - start
      } else if (key === null || key === undefined) lengths[3 * row] = -1
      else {
        keys[row] = key
        lengths[3 * row] = key.length
      }
      if (typeof value === 'string') {
        const start = end
        end = this.#writeText(end, value, index)
        lengths[3 * row + 1] = end - start
      } else if (value === null) lengths[3 * row + 1] = -1
      else if (isBytes(value)) {
        if (value.length > FIELD_BYTES_MAX) throw tooLarge(index, value.length)
        values[row] = value
        lengths[3 * row + 1] = value.length
      } else throw badValue(index, value)
      const encoded =
        headers === undefined || headers === null ? null : encodeHeaders(headers, `messages[${index}].headers`)
      headersOf[row] = encoded
      lengths[3 * row + 2] = encoded === null ? 0 : encoded.length
      if (end > SCRATCH_TEXT_BYTES_MAX && count > 1) return false
    }
    this.#cut()
    return true
  }

  #timestampType(): number {
    return this.#scatter.rules?.logAppendTime === true ? LOG_APPEND_TIME : 0
  }

  #cut(): void {
    const { firstRow, endRow, active, activeCount, timestamps, sticky, nullKeys } = this.#scatter
    const keyless = nullKeys > 0 ? sticky.current : -1
    for (let a = 0; a < activeCount; a++) {
      const p = active[a] as number
      const from = firstRow[p] as number
      const to = endRow[p] as number
      let total = 0
      const large = cutBatches(
        from,
        to,
        this.#batchBytesMax,
        (a, b) => this.#byteLength(a, b),
        (a, b, byteLength) => {
          total += byteLength
          const maxTimestamp = greatest(timestamps, a, b)
          this.batches.push({ partition: p, from: a, to: b, records: b - a, byteLength, maxTimestamp })
        },
        this.batchBytesAim,
      )
      if (large !== -1) {
        const path = `messages[${this.#scatter.order[large]}]`
        throw recordTooLarge(path, this.#byteLength(large, large + 1), this.#batchBytesMax)
      }
      if (p === keyless) sticky.wrote(total)
    }
  }

  /** Of a batch of these rows. What it notes of each is what writeTo() needs: a batch is measured as it is before it is taken. */
  #byteLength(from: number, to: number): number {
    const { timestamps } = this.#scatter
    const lengths = this.#lengths
    const bodies = this.#bodies
    const baseTimestamp = timestamps[from] as number
    let bytes = BATCH_HEADER_BYTES
    for (let row = from; row < to; row++) {
      const body = recordBodyLength(
        (timestamps[row] as number) - baseTimestamp,
        row - from,
        lengths[3 * row] as number,
        lengths[3 * row + 1] as number,
        lengths[3 * row + 2] as number,
      )
      bodies[row] = body
      bytes += varintLength(body) + body
    }
    return bytes
  }

  #writeText(at: number, text: string, index: number): number {
    if (text.length > FIELD_BYTES_MAX) throw tooLarge(index, text.length)
    if (at + text.length * 3 > this.#text.length) {
      const room = at + text.length * 3 > SCRATCH_BYTES_MAX ? at + utf8Length(text) : at + text.length * 3
      if (room > SCRATCH_BYTES_MAX) throw recordTooLarge(`messages[${index}]`, room - at, this.#batchBytesMax)
      this.#text = grownBytes(this.#text, at, room)
    }
    return writeUtf8(this.#text, at, text)
  }

  #ensure(count: number): void {
    this.#keys.length = count
    this.#values.length = count
    this.#headers.length = count
    if (count <= this.#textStart.length) return
    this.#lengths = new Int32Array(count * 3)
    this.#bodies = new Int32Array(count)
    this.#textStart = new Int32Array(count)
  }
}

const tooLarge = (index: number, length: number): Error =>
  recordTooLarge(`messages[${index}]`, `at least ${length}`, FIELD_BYTES_MAX)

const badValue = (index: number, found: unknown): Error =>
  invalidValue(
    `messages[${index}].value`,
    found,
    'a string, a Uint8Array, or null',
    'give it a value, or null for a tombstone',
  )

/** Up to here a loop is quicker than making the view that `set` needs. */
const LOOP_LENGTH_MAX = 48

function copyBytes(source: Uint8Array, from: number, length: number, target: Uint8Array, at: number): void {
  assert(from + length <= source.length, 'a byte array became shorter while it was sent')
  if (length <= LOOP_LENGTH_MAX) for (let i = 0; i < length; i++) target[at + i] = source[from + i] as number
  else if (from === 0 && length === source.length) target.set(source, at)
  else target.set(source.subarray(from, from + length), at)
}
