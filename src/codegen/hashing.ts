import { encodeUtf8 } from '../common/utf8.js'
import { type DataType, entriesType } from '../types/data-type.js'
import { putDouble, putFloat } from './float-bits.js'
import type { StructValue, Value } from './value.js'

/**
 * Spark's murmur3, the function `hash`: 32 bits, each value hashed with the hash so far as its seed,
 * strings by whole little-endian words and then byte by byte as signed numbers. (Partitioning and grouping
 * use other hashes; this one is here because users compare it with Spark's.)
 */
export const HASH_SEED = 42

function mixK(k: number): number {
  const x = Math.imul(k, 0xcc9e2d51)
  return Math.imul((x << 15) | (x >>> 17), 0x1b873593)
}

function mixH(h: number, k: number): number {
  const x = h ^ k
  return (Math.imul((x << 13) | (x >>> 19), 5) + 0xe6546b64) | 0
}

function finish(h: number, length: number): number {
  let x = h ^ length
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return x ^ (x >>> 16)
}

export function hashInt(value: number, seed: number): number {
  return finish(mixH(seed, mixK(value)), 4)
}

function hashLong(low: number, high: number, seed: number): number {
  return finish(mixH(mixH(seed, mixK(low)), mixK(high)), 8)
}

function hashBigint(value: bigint, seed: number): number {
  return hashLong(Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n)), seed)
}

export function hashBytes(bytes: Uint8Array, seed: number): number {
  let h = seed
  const words = bytes.length & ~3
  for (let i = 0; i < words; i += 4) {
    const word =
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24)
    h = mixH(h, mixK(word))
  }
  for (let i = words; i < bytes.length; i++) h = mixH(h, mixK(((bytes[i] as number) << 24) >> 24))
  return finish(h, bytes.length)
}

const scratch = new DataView(new ArrayBuffer(8))

export function hashValue(type: DataType, value: Value | null, seed: number): number {
  if (value === null) return seed
  switch (type.kind) {
    case 'string':
      return hashBytes(encodeUtf8(value as string), seed)
    case 'binary':
      return hashBytes(value as Uint8Array, seed)
    case 'boolean':
      return hashInt(value === true ? 1 : 0, seed)
    case 'byte':
    case 'short':
    case 'int':
    case 'date':
    case 'yearMonthInterval':
      return hashInt(value as number, seed)
    case 'long':
    case 'bigint':
      return hashBigint(BigInt(value as number | bigint), seed)
    case 'timestamp':
    case 'dayTimeInterval':
      return hashBigint(BigInt(value as number) * 1000n, seed)
    case 'float':
      putFloat(scratch, value as number)
      return hashInt(scratch.getInt32(0), seed)
    case 'double':
      putDouble(scratch, value as number)
      return hashLong(scratch.getInt32(4), scratch.getInt32(0), seed)
    case 'decimal':
      if (type.precision <= 18) return hashBigint(value as bigint, seed)
      return hashBytes(twosComplement(value as bigint), seed)
    case 'struct': {
      let h = seed
      type.fields.forEach((field, i) => {
        h = hashValue(field.type, (value as StructValue)[i] ?? null, h)
      })
      return h
    }
    case 'array':
      return (value as StructValue).reduce<number>((h, item) => hashValue(type.element, item, h), seed)
    case 'map':
      return hashValue(entriesType(type), value, seed)
    case 'void':
      return seed
  }
}

/** Big-endian, as few bytes as hold it with its sign: Java's BigInteger.toByteArray. */
function twosComplement(value: bigint): Uint8Array {
  let length = 1
  while (BigInt.asIntN(8 * length, value) !== value) length++
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[length - 1 - i] = Number(BigInt.asUintN(8, value >> BigInt(8 * i)))
  return bytes
}
