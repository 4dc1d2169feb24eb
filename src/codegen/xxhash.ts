import { encodeUtf8 } from '../common/utf8.js'
import { type DataType, entriesType } from '../types/data-type.js'
import { putDouble, putFloat } from './float-bits.js'
import type { StructValue, Value } from './value.js'

/** Spark's xxhash64: 64 bits, each value hashed with the hash so far as its seed, integers in one step. */
export const XXHASH_SEED = 42n

const P1 = 0x9e3779b185ebca87n
const P2 = 0xc2b2ae3d27d4eb4fn
const P3 = 0x165667b19e3779f9n
const P4 = 0x85ebca77c2b2ae63n
const P5 = 0x27d4eb2f165667c5n

const u64 = (x: bigint): bigint => BigInt.asUintN(64, x)
const rotate = (x: bigint, bits: bigint): bigint => u64(x << bits) | (x >> (64n - bits))
const round = (acc: bigint, input: bigint): bigint => u64(rotate(u64(acc + u64(input * P2)), 31n) * P1)

function avalanche(hash: bigint): bigint {
  let h = hash
  h = u64((h ^ (h >> 33n)) * P2)
  h = u64((h ^ (h >> 29n)) * P3)
  return h ^ (h >> 32n)
}

function hashInt(value: number, seed: bigint): bigint {
  const h = u64(u64(seed + P5 + 4n) ^ u64(BigInt(value >>> 0) * P1))
  return avalanche(u64(rotate(h, 23n) * P2 + P3))
}

function hashLong(value: bigint, seed: bigint): bigint {
  const h = u64(seed + P5 + 8n) ^ round(0n, u64(value))
  return avalanche(u64(rotate(h, 27n) * P1 + P4))
}

function hashBytes(bytes: Uint8Array, seed: bigint): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = bytes.length
  let at = 0
  let h: bigint
  if (length >= 32) {
    const v = [u64(seed + P1 + P2), u64(seed + P2), seed, u64(seed - P1)]
    for (; at + 32 <= length; at += 32) {
      for (let i = 0; i < 4; i++) v[i] = round(v[i] as bigint, view.getBigUint64(at + 8 * i, true))
    }
    const [a, b, c, d] = v as [bigint, bigint, bigint, bigint]
    h = u64(rotate(a, 1n) + rotate(b, 7n) + rotate(c, 12n) + rotate(d, 18n))
    for (const x of v) h = u64(u64((h ^ round(0n, x)) * P1) + P4)
  } else h = u64(seed + P5)
  h = u64(h + BigInt(length))
  for (; at + 8 <= length; at += 8) h = u64(rotate(h ^ round(0n, view.getBigUint64(at, true)), 27n) * P1 + P4)
  if (at + 4 <= length) {
    h = u64(rotate(h ^ u64(BigInt(view.getUint32(at, true)) * P1), 23n) * P2 + P3)
    at += 4
  }
  for (; at < length; at++) h = u64(rotate(h ^ u64(BigInt(bytes[at] as number) * P5), 11n) * P1)
  return avalanche(h)
}

const scratch = new DataView(new ArrayBuffer(8))

/** Unsigned; the function's result is the same bits with a sign. A null leaves the hash as it is. */
export function xxhashValue(type: DataType, value: Value | null, seed: bigint): bigint {
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
      return hashLong(BigInt(value as number | bigint), seed)
    case 'timestamp':
    case 'dayTimeInterval':
      return hashLong(BigInt(value as number) * 1000n, seed)
    case 'float':
      putFloat(scratch, value as number)
      return hashInt(scratch.getInt32(0), seed)
    case 'double':
      putDouble(scratch, value as number)
      return hashLong(scratch.getBigInt64(0), seed)
    case 'decimal':
      if (type.precision <= 18) return hashLong(value as bigint, seed)
      return hashBytes(twosComplement(value as bigint), seed)
    case 'struct':
      return type.fields.reduce((h, field, i) => xxhashValue(field.type, (value as StructValue)[i] ?? null, h), seed)
    case 'array':
      return (value as StructValue).reduce<bigint>((h, item) => xxhashValue(type.element, item, h), seed)
    case 'map':
      return xxhashValue(entriesType(type), value, seed)
    case 'void':
      return seed
  }
}

/** Big-endian, as few bytes as hold it with its sign: Java's BigInteger.toByteArray. */
export function twosComplement(value: bigint): Uint8Array {
  let length = 1
  while (BigInt.asIntN(8 * length, value) !== value) length++
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[length - 1 - i] = Number(BigInt.asUintN(8, value >> BigInt(8 * i)))
  return bytes
}

/** All values in turn. */
export function xxhash64(types: readonly DataType[], values: readonly (Value | null)[]): bigint {
  let h = XXHASH_SEED
  for (let i = 0; i < types.length; i++) h = xxhashValue(types[i] as DataType, values[i] ?? null, h)
  return BigInt.asIntN(64, h)
}
