import { crc32c } from '@node-rs/crc32'
import type { ClickMessage } from './clicks.js'

/**
 * The limit of typed ingest: a loop written by hand for clicks and nothing else, that leaves the same bytes as the
 * engine does. It hashes the key, scatters the records by partition, builds one block of columns for each
 * partition behind a 61-byte header, sums it up with CRC-32C and publishes it. It validates nothing, knows every
 * column by name, and has no topic, no promise and no reader.
 *
 *   // batch: 61 header, 3 zero, then the block: 16 head, 11 directory entries of 16, buffers at multiples of 8
 *   // slots: __key __keyHash __timestamp __headers userId page ts price quantity country mobile
 */
const HEADER_BYTES = 64
const SLOTS = 11
const BLOCK_HEAD_BYTES = 16 + SLOTS * 16
const BLOCK_MAGIC = 0x3142434d
const TWO_32 = 4294967296

export interface Chunk {
  readonly node: Buffer
  readonly u8: Uint8Array
  readonly i32: Int32Array
  readonly f64: Float64Array
  readonly dv: DataView
  used: number
}

/** A published block: where its columns lie is in its directory. */
export interface BareBlock {
  readonly chunk: Chunk
  readonly position: number
  readonly rows: number
}

const align8 = (n: number): number => (n + 7) & ~7

function newChunk(bytes: number): Chunk {
  const buffer = new SharedArrayBuffer(bytes)
  return {
    node: Buffer.from(buffer),
    u8: new Uint8Array(buffer),
    i32: new Int32Array(buffer),
    f64: new Float64Array(buffer),
    dv: new DataView(buffer),
    used: 0,
  }
}

/** Kafka's murmur2, straight from the characters of an ASCII string. */
export function murmur2Ascii(key: string): number {
  const length = key.length
  const m = 0x5bd1e995
  let h = 0x9747b28c ^ length
  let i = 0
  for (; i + 4 <= length; i += 4) {
    const a = key.charCodeAt(i)
    const b = key.charCodeAt(i + 1)
    const c = key.charCodeAt(i + 2)
    const d = key.charCodeAt(i + 3)
    let k = Math.imul(a | (b << 8) | (c << 16) | (d << 24), m)
    k = Math.imul(k ^ (k >>> 24), m)
    h = Math.imul(h, m) ^ k
  }
  const rest = length & 3
  if (rest === 3) h ^= key.charCodeAt(i + 2) << 16
  if (rest >= 2) h ^= key.charCodeAt(i + 1) << 8
  if (rest >= 1) h = Math.imul(h ^ key.charCodeAt(i), m)
  h = Math.imul(h ^ (h >>> 13), m)
  return h ^ (h >>> 15)
}

/** Writes `text` at `at`, gives the end. Sizes are known beforehand because the clicks are ASCII. */
function putAscii(u8: Uint8Array, text: string, at: number): number {
  const length = text.length
  for (let i = 0; i < length; i++) u8[at + i] = text.charCodeAt(i)
  return at + length
}

/** Bytes of each text column of one partition, and how many records it gets. */
interface Place {
  keyHash: number
  created: number
  ts: number
  price: number
  quantity: number
  mobile: number
  key: number
  userId: number
  page: number
  country: number
}

class Sizes {
  rows = 0
  key = 0
  userId = 0
  page = 0
  country = 0
}

export class BareIngest {
  readonly blocks: BareBlock[] = []
  readonly logEndOffsets: BigInt64Array
  bytes = 0
  readonly #partitions: number
  readonly #chunkBytes: number
  readonly #chunks: Chunk[]
  #hashes = new Int32Array(0)
  #partitionOf = new Uint16Array(0)
  #orderedHashes = new Int32Array(0)
  #ordered: (ClickMessage | undefined)[] = []
  readonly #next: Int32Array
  readonly #sizes: Sizes[]

  constructor(partitions: number, chunkBytes = 4 << 20) {
    this.#partitions = partitions
    this.#chunkBytes = chunkBytes
    this.#chunks = Array.from({ length: partitions }, () => newChunk(chunkBytes))
    this.#next = new Int32Array(partitions)
    this.#sizes = Array.from({ length: partitions }, () => new Sizes())
    this.logEndOffsets = new BigInt64Array(new SharedArrayBuffer(partitions * 8))
  }

  send(messages: readonly ClickMessage[], timestamp: number): void {
    this.#scatter(messages)
    let from = 0
    for (let p = 0; p < this.#partitions; p++) {
      const sizes = this.#sizes[p] as Sizes
      if (sizes.rows > 0) this.#build(p, from, sizes, timestamp)
      from += sizes.rows
    }
  }

  /** Hash of every key, then a counting sort: `ordered` holds the records of partition 0, then of partition 1, … */
  #scatter(messages: readonly ClickMessage[]): void {
    const count = messages.length
    if (this.#hashes.length < count) {
      this.#hashes = new Int32Array(count)
      this.#partitionOf = new Uint16Array(count)
      this.#orderedHashes = new Int32Array(count)
      this.#ordered = new Array<ClickMessage | undefined>(count).fill(undefined)
    }
    const hashes = this.#hashes
    const partitionOf = this.#partitionOf
    const ordered = this.#ordered
    const orderedHashes = this.#orderedHashes
    const partitions = this.#partitions
    const allSizes = this.#sizes
    for (let p = 0; p < partitions; p++) {
      const sizes = allSizes[p] as Sizes
      sizes.rows = sizes.key = sizes.userId = sizes.page = sizes.country = 0
    }
    for (let i = 0; i < count; i++) {
      const message = messages[i] as ClickMessage
      const value = message.value
      const hash = murmur2Ascii(message.key)
      const p = (hash & 0x7fffffff) % partitions
      hashes[i] = hash
      partitionOf[i] = p
      const sizes = allSizes[p] as Sizes
      sizes.rows += 1
      sizes.key += message.key.length
      sizes.userId += value.userId.length
      sizes.page += value.page.length
      sizes.country += value.country.length
    }
    const next = this.#next
    let start = 0
    for (let p = 0; p < partitions; p++) {
      next[p] = start
      start += (allSizes[p] as Sizes).rows
    }
    for (let i = 0; i < count; i++) {
      const p = partitionOf[i] as number
      const at = next[p] as number
      ordered[at] = messages[i]
      orderedHashes[at] = hashes[i] as number
      next[p] = at + 1
    }
  }

  /** All sizes are known, so every buffer has its place before the first value is written, and a record is visited once. */
  #build(p: number, from: number, sizes: Sizes, timestamp: number): void {
    const rows = sizes.rows
    const ends = align8((rows + 1) * 4)
    const ints = align8(rows * 4)
    const place = {
      keyHash: 0,
      created: 0,
      ts: 0,
      price: 0,
      quantity: 0,
      mobile: 0,
      key: 0,
      userId: 0,
      page: 0,
      country: 0,
    }
    let at = HEADER_BYTES + BLOCK_HEAD_BYTES
    const take = (bytes: number): number => {
      const here = at
      at += align8(bytes)
      return here
    }
    place.keyHash = take(ints)
    place.created = take(rows * 8)
    place.ts = take(rows * 8)
    place.price = take(rows * 8)
    place.quantity = take(ints)
    place.mobile = take((rows + 7) >> 3)
    place.key = take(ends + sizes.key)
    place.userId = take(ends + sizes.userId)
    place.page = take(ends + sizes.page)
    place.country = take(ends + sizes.country)
    // Nobody has headers: a bitmap of zeros, which fresh memory is, and no values.
    const noHeaders = take((rows + 7) >> 3)

    let chunk = this.#chunks[p] as Chunk
    if (chunk.used + at > this.#chunkBytes) {
      chunk = newChunk(Math.max(this.#chunkBytes, at))
      this.#chunks[p] = chunk
    }
    const start = chunk.used
    this.#fill(chunk, start, from, rows, place, timestamp)

    const i32 = chunk.i32
    const block = (start + HEADER_BYTES) >> 2
    i32[block] = BLOCK_MAGIC
    i32[block + 1] = at - HEADER_BYTES
    i32[block + 2] = rows
    i32[block + 3] = SLOTS
    const { keyHash, created, key, userId, page, ts, price, quantity, country, mobile } = place
    const slots = [key, keyHash, created, 0, userId, page, ts, price, quantity, country, mobile]
    for (let slot = 0; slot < SLOTS; slot++) {
      const entry = block + 4 + slot * 4
      const values = slots[slot] as number
      const text = slot === 0 || slot === 4 || slot === 5 || slot === 9
      i32[entry] = values === 0 ? noHeaders - HEADER_BYTES : 0
      i32[entry + 1] = values === 0 ? 0 : values - HEADER_BYTES
      i32[entry + 2] = text ? values + ends - HEADER_BYTES : 0
      i32[entry + 3] = values === 0 ? rows : 0
    }
    this.#publish(chunk, p, start, start + at, rows, timestamp)
  }

  #fill(chunk: Chunk, start: number, from: number, rows: number, place: Place, timestamp: number): void {
    const { u8, i32, f64 } = chunk
    const ordered = this.#ordered
    const hashes = this.#orderedHashes
    const keyHash = (start + place.keyHash) >> 2
    const created = (start + place.created) >> 2
    const ts = (start + place.ts) >> 2
    const price = (start + place.price) >> 3
    const quantity = (start + place.quantity) >> 2
    const mobile = start + place.mobile
    const createdLow = timestamp | 0
    const createdHigh = Math.floor(timestamp / TWO_32) | 0
    const ends = align8((rows + 1) * 4)
    const keyEnds = (start + place.key) >> 2
    const userIdEnds = (start + place.userId) >> 2
    const pageEnds = (start + place.page) >> 2
    const countryEnds = (start + place.country) >> 2
    const keyBytes = start + place.key + ends
    const userIdBytes = start + place.userId + ends
    const pageBytes = start + place.page + ends
    const countryBytes = start + place.country + ends
    let keyEnd = keyBytes
    let userIdEnd = userIdBytes
    let pageEnd = pageBytes
    let countryEnd = countryBytes
    let bits = 0
    for (let i = 0; i < rows; i++) {
      const message = ordered[from + i] as ClickMessage
      const value = message.value
      const eventTime = value.ts
      i32[keyHash + i] = hashes[from + i] as number
      i32[created + 2 * i] = createdLow
      i32[created + 2 * i + 1] = createdHigh
      i32[ts + 2 * i] = eventTime | 0
      i32[ts + 2 * i + 1] = Math.floor(eventTime / TWO_32)
      f64[price + i] = value.price
      i32[quantity + i] = value.quantity
      bits |= (value.mobile ? 1 : 0) << (i & 7)
      if ((i & 7) === 7) {
        u8[mobile + (i >> 3)] = bits
        bits = 0
      }
      keyEnd = putAscii(u8, message.key, keyEnd)
      i32[keyEnds + i + 1] = keyEnd - keyBytes
      userIdEnd = putAscii(u8, value.userId, userIdEnd)
      i32[userIdEnds + i + 1] = userIdEnd - userIdBytes
      pageEnd = putAscii(u8, value.page, pageEnd)
      i32[pageEnds + i + 1] = pageEnd - pageBytes
      countryEnd = putAscii(u8, value.country, countryEnd)
      i32[countryEnds + i + 1] = countryEnd - countryBytes
    }
    if ((rows & 7) !== 0) u8[mobile + (rows >> 3)] = bits
  }

  #publish(chunk: Chunk, p: number, start: number, end: number, rows: number, timestamp: number): void {
    const dv = chunk.dv
    const base = this.logEndOffsets[p] as bigint
    dv.setBigInt64(start, base)
    dv.setInt32(start + 8, end - start - 12)
    dv.setInt32(start + 12, 0)
    dv.setInt8(start + 16, 2)
    dv.setInt16(start + 21, 1 << 14)
    dv.setInt32(start + 23, rows - 1)
    dv.setBigInt64(start + 27, BigInt(timestamp))
    dv.setBigInt64(start + 35, BigInt(timestamp))
    dv.setBigInt64(start + 43, -1n)
    dv.setInt16(start + 51, -1)
    dv.setInt32(start + 53, -1)
    dv.setInt32(start + 57, rows)
    dv.setInt32(start + 17, crc32c(chunk.node.subarray(start + 21, end)) | 0)
    chunk.used = end
    this.bytes += end - start
    this.blocks.push({ chunk, position: start + HEADER_BYTES, rows })
    Atomics.store(this.logEndOffsets, p, base + BigInt(rows))
  }
}
