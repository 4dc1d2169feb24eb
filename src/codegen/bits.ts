import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { DataType } from '../types/data-type.js'
import { type KernelTable, type MakeKernel, plain } from './kernel.js'
import type { Value } from './value.js'
import { xxhash64 } from './xxhash.js'

/** Bits of integers, numerals of other bases, and the digests that people compare with other systems'. */

type Integer = number | bigint

/** On 32 bits for what is narrower, on 64 for bigint and long; a `long` stays a number. */
function bitwise(small: (a: number, b: number) => number, big: (a: bigint, b: bigint) => bigint): MakeKernel {
  return (first) => {
    if (first.kind === 'bigint') return (a: bigint, b: bigint) => BigInt.asIntN(64, big(a, b))
    if (first.kind === 'long') return (a: number, b: number) => Number(BigInt.asIntN(64, big(BigInt(a), BigInt(b))))
    return small
  }
}

/** The number of places is taken modulo the width, as Java does. */
function shift(small: (a: number, n: number) => number, big: (a: bigint, n: bigint) => bigint): MakeKernel {
  return (first) => {
    if (first.kind === 'bigint') return (a: bigint, n: number) => BigInt.asIntN(64, big(a, BigInt(n & 63)))
    if (first.kind === 'long') return (a: number, n: number) => BigInt.asIntN(64, big(BigInt(a), BigInt(n & 63)))
    return small
  }
}

function bitCount(value: Integer | boolean): number {
  let bits = BigInt.asUintN(64, BigInt(value))
  let count = 0
  for (; bits > 0n; bits &= bits - 1n) count++
  return count
}

const factorials: readonly bigint[] = Array.from({ length: 21 }, (_, n) => {
  let product = 1n
  for (let i = 2n; i <= BigInt(n); i++) product *= i
  return product
})

const ALL_BITS = (1n << 64n) - 1n

/** A numeral of one base in another; what does not belong to the base ends it. A negative target base gives a signed one. */
function conv(text: string, from: number, to: number): string | null {
  const source = text.trim()
  if (from < 2 || from > 36 || Math.abs(to) < 2 || Math.abs(to) > 36 || source === '') return null
  const negative = source.startsWith('-')
  let value = 0n
  for (const c of source.slice(negative ? 1 : 0)) {
    const digit = /[0-9a-z]/i.test(c) ? Number.parseInt(c, 36) : 36
    if (digit >= from) break
    value = value * BigInt(from) + BigInt(digit)
    // Beyond 64 bits it stays at the greatest number, as Hive has it.
    if (value > ALL_BITS) {
      value = ALL_BITS
      break
    }
  }
  if (negative)
    value = value === ALL_BITS || to > 0 ? BigInt.asUintN(64, value === ALL_BITS ? ALL_BITS : -value) : -value
  if (to > 0) return BigInt.asUintN(64, value).toString(to).toUpperCase()
  return BigInt.asIntN(64, value).toString(-to).toUpperCase()
}

function unhex(text: string): Uint8Array | null {
  if (!/^[0-9a-fA-F]*$/.test(text)) return null
  return Uint8Array.from(Buffer.from(text.length % 2 === 0 ? text : `0${text}`, 'hex'))
}

const digest =
  (algorithm: string) =>
  (bytes: Uint8Array): string =>
    createHash(algorithm).update(bytes).digest('hex')

/** 0 is 256. Null for a number of bits that there is not. */
function sha2(bytes: Uint8Array, bits: number): string | null {
  const width = bits === 0 ? 256 : bits
  return [224, 256, 384, 512].includes(width) ? digest(`sha${width}`)(bytes) : null
}

function widthBucket(value: number, low: number, high: number, buckets: number): number | null {
  if (
    buckets <= 0 ||
    [value, low, high].some(Number.isNaN) ||
    low === high ||
    !Number.isFinite(low) ||
    !Number.isFinite(high)
  )
    return null
  const [below, beyond] = low < high ? [value < low, value >= high] : [value > low, value <= high]
  if (below) return 0
  if (beyond) return buckets + 1
  return Math.floor((buckets * (value - low)) / (high - low)) + 1
}

const isBig = (type: DataType): boolean => type.kind === 'bigint'

export const bitKernels: KernelTable = {
  xxhash64: (_first, call) => {
    const types = call.args.map((a) => a.type)
    return (...values: (Value | null)[]) => xxhash64(types, values)
  },
  bitAnd: bitwise(
    (a, b) => a & b,
    (a, b) => a & b,
  ),
  bitOr: bitwise(
    (a, b) => a | b,
    (a, b) => a | b,
  ),
  bitXor: bitwise(
    (a, b) => a ^ b,
    (a, b) => a ^ b,
  ),
  bitNot: (first) => {
    if (isBig(first)) return (a: bigint) => ~a
    return first.kind === 'long' ? (a: number) => -a - 1 : (a: number) => ~a
  },
  bitCount: plain(bitCount),
  bitGet: plain((value: Integer, place: number) => Number((BigInt.asUintN(64, BigInt(value)) >> BigInt(place)) & 1n)),
  shiftLeft: shift(
    (a, n) => a << n,
    (a, n) => a << n,
  ),
  shiftRight: shift(
    (a, n) => a >> n,
    (a, n) => a >> n,
  ),
  shiftRightUnsigned: shift(
    (a, n) => (a >>> n) | 0,
    (a, n) => BigInt.asUintN(64, a) >> n,
  ),
  factorial: plain((n: number) => factorials[n] ?? null),
  bin: plain((value: Integer) => BigInt.asUintN(64, BigInt(value)).toString(2)),
  conv: plain(conv),
  unhex: plain(unhex),
  widthBucket: plain(widthBucket),
  md5: plain(digest('md5')),
  sha1: plain(digest('sha1')),
  sha2: plain(sha2),
  crc32: plain((bytes: Uint8Array) => crc32(bytes)),
}
