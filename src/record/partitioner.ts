import { newBytes } from '../common/bytes.js'
import { loadCommonJs } from '../common/commonjs.js'
import { encodeUtf8, writeUtf8 } from '../common/utf8.js'

/**
 * Which partition a record goes to. A key's partition is (murmur2(key bytes) & 0x7fffffff) % partitions, as
 * Kafka's own clients have it, so the same key lands in the same partition whoever writes it. A topic may
 * say murmur3 instead. Records without a key stick to one partition for a while: full batches are worth
 * more than an even spread within one.
 */
export type PartitionerName = 'murmur2' | 'murmur3'
export type Key = string | Uint8Array

const SEED = 0x9747b28c
const M = 0x5bd1e995

/** Kafka's murmur2 of bytes [from, to), signed. */
export function murmur2(u8: Uint8Array, from = 0, to = u8.length): number {
  let h = SEED ^ (to - from)
  let i = from
  for (const end = to - 3; i < end; i += 4) {
    let k =
      (u8[i] as number) | ((u8[i + 1] as number) << 8) | ((u8[i + 2] as number) << 16) | ((u8[i + 3] as number) << 24)
    k = Math.imul(k, M)
    k ^= k >>> 24
    h = Math.imul(h, M) ^ Math.imul(k, M)
  }
  const rest = to - i
  if (rest > 0) {
    if (rest === 3) h ^= (u8[i + 2] as number) << 16
    if (rest >= 2) h ^= (u8[i + 1] as number) << 8
    h = Math.imul(h ^ (u8[i] as number), M)
  }
  return finish(h)
}

/** The same of a DataView, four bytes at a look. */
export function murmur2OfView(dv: DataView, from: number, to: number): number {
  let h = SEED ^ (to - from)
  let i = from
  for (const end = to - 3; i < end; i += 4) {
    let k = dv.getInt32(i, true)
    k = Math.imul(k, M)
    k ^= k >>> 24
    h = Math.imul(h, M) ^ Math.imul(k, M)
  }
  const rest = to - i
  if (rest > 0) {
    if (rest === 3) h ^= dv.getUint8(i + 2) << 16
    if (rest >= 2) h ^= dv.getUint8(i + 1) << 8
    h = Math.imul(h ^ dv.getUint8(i), M)
  }
  return finish(h)
}

/** The same of a string's UTF-8, straight from its characters where they are ASCII. */
export function murmur2OfString(text: string): number {
  const length = text.length
  let h = SEED ^ length
  let seen = 0
  let i = 0
  for (const end = length - 3; i < end; i += 4) {
    const a = text.charCodeAt(i)
    const b = text.charCodeAt(i + 1)
    const c = text.charCodeAt(i + 2)
    const d = text.charCodeAt(i + 3)
    seen |= a | b | c | d
    let k = a | (b << 8) | (c << 16) | (d << 24)
    k = Math.imul(k, M)
    k ^= k >>> 24
    h = Math.imul(h, M) ^ Math.imul(k, M)
  }
  const rest = length - i
  if (rest > 0) {
    if (rest === 3) {
      const c = text.charCodeAt(i + 2)
      seen |= c
      h ^= c << 16
    }
    if (rest >= 2) {
      const b = text.charCodeAt(i + 1)
      seen |= b
      h ^= b << 8
    }
    const a = text.charCodeAt(i)
    seen |= a
    h = Math.imul(h ^ a, M)
  }
  return seen > 127 ? murmur2OfUnicode(text) : finish(h)
}

function finish(hash: number): number {
  let h = hash
  h ^= h >>> 13
  h = Math.imul(h, M)
  return h ^ (h >>> 15)
}

/** Longer keys than this are rare; they get an array of their own. */
const SCRATCH_CHARACTERS = 512
const scratch = newBytes(SCRATCH_CHARACTERS * 3)

function murmur2OfUnicode(text: string): number {
  if (text.length > SCRATCH_CHARACTERS) return murmur2(encodeUtf8(text))
  return murmur2(scratch, 0, writeUtf8(scratch, 0, text))
}

export function murmur2OfKey(key: Key): number {
  return typeof key === 'string' ? murmur2OfString(key) : murmur2(key)
}

let murmurhash3: typeof import('murmurhash3js') | undefined

/**
 * MurmurHash3_x86_32 with seed 0. The package hashes the low byte of each character, so what is not pure
 * ASCII reaches it as the bytes of its UTF-8, one character a byte.
 */
export function murmur3OfKey(key: Key): number {
  const text = typeof key !== 'string' ? latin1(key) : isAscii(key) ? key : latin1(encodeUtf8(key))
  murmurhash3 ??= loadCommonJs('murmurhash3js') as typeof import('murmurhash3js')
  return murmurhash3.x86.hash32(text) | 0
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return false
  return true
}

export function partitionOfHash(hash: number, partitions: number): number {
  return (hash & 0x7fffffff) % partitions
}

export function partitionOfKey(key: Key, partitions: number, partitioner: PartitionerName = 'murmur2'): number {
  return partitionOfHash(partitioner === 'murmur2' ? murmur2OfKey(key) : murmur3OfKey(key), partitions)
}

/** Bytes after which records without a key move on to another partition: Kafka's batch.size. */
export const STICKY_BYTES = 16384

/** Where records without a key go. */
export class StickyPartitioner {
  /** In force until enough bytes went there. */
  current: number
  #bytes = 0

  constructor(
    readonly partitions: number,
    readonly random: () => number,
  ) {
    this.current = this.#draw(partitions)
  }

  /** Counts what was written to the current partition, and moves on when it is enough. */
  wrote(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes < STICKY_BYTES || this.partitions === 1) return
    this.#bytes = 0
    const step = 1 + this.#draw(this.partitions - 1)
    this.current = (this.current + step) % this.partitions
  }

  #draw(below: number): number {
    return Math.min(below - 1, Math.floor(this.random() * below))
  }
}
