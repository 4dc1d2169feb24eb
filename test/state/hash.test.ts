import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  combineHash,
  finishHash,
  hashBigint,
  hashBytes,
  hashDouble,
  hashInteger,
  KEY_GROUPS,
  keyGroupOf,
  NULL_HASH,
  ownerOf,
} from '../../src/state/hash.js'

const ofText = (text: string): number => {
  const bytes = new TextEncoder().encode(text)
  return hashBytes(new DataView(bytes.buffer), bytes, 0, bytes.length)
}

describe('the hash of a key never changes, since state on disk is found by it', () => {
  it.each([
    ['', 1020716019],
    ['a', -1172422002],
    ['ab', 479845692],
    ['abc', -1549653312],
    ['abcd', -1364252679],
    ['abcde', -881231985],
    ['user-123456', -1483650775],
    ['é', -587785352],
    ['日本語', 791122758],
    ['🙂', -1526135582],
  ])('text %j', (text, hash) => expect(ofText(text)).toBe(hash))
  it.each([
    [0, 0],
    [1, 1728272531],
    [-1, -629633780],
    [42, -253527021],
    [2147483647, -374587343],
    [-2147483648, 619514372],
    [4294967296, 1738713326],
    [-4294967297, 799146889],
    [1709210096789, 1738398148],
    [9007199254740991, 745831395],
    [-9007199254740991, 1093278906],
  ])('integer %d', (value, hash) => expect(hashInteger(value)).toBe(hash))
  it.each([
    [0, 0],
    [1, 1894332193],
    [-1, -1307405418],
    [0.1, -1638497237],
    [1e300, 256206531],
    [5e-324, 1728272531],
    [Number.POSITIVE_INFINITY, 849636670],
    [Number.NEGATIVE_INFINITY, 1707203127],
    [Number.NaN, -1210315925],
  ])('double %d', (value, hash) => expect(hashDouble(value)).toBe(hash))
  it.each([
    [0n, 1769204897],
    [1n, -1561205176],
    [-1n, 1307276916],
    [4294967296n, -1829678788],
    [9223372036854775807n, 1320646360],
    [-9223372036854775808n, 1240865163],
    [10000000000000000000000000000000000000n, 2031219208],
  ])('bigint %d', (value, hash) => expect(hashBigint(value)).toBe(hash))
  it('null, and keys of several columns', () => {
    expect(NULL_HASH).toBe(0x2c1b3c6d)
    expect(combineHash(ofText('a'), hashInteger(1))).toBe(226394860)
    expect(combineHash(NULL_HASH, NULL_HASH)).toBe(1703559486)
    expect(combineHash(1, 2)).not.toBe(combineHash(2, 1))
    expect(finishHash(0)).toBe(0)
  })
})

it('the hash of bytes is that of the bytes alone, wherever they lie', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(9), fc.boolean(), (bytes, start, shared) => {
      const buffer = shared ? new SharedArrayBuffer(64) : new ArrayBuffer(64)
      const u8 = new Uint8Array(buffer).fill(0xee)
      u8.set(bytes, start)
      const there = hashBytes(new DataView(buffer), u8, start, start + bytes.length)
      expect(there).toBe(hashBytes(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), bytes, 0, bytes.length))
      expect(there | 0).toBe(there)
    }),
  )
})

it('minus zero is zero, and every NaN is one', () => {
  expect(hashDouble(-0)).toBe(hashDouble(0))
  const bits = new DataView(new ArrayBuffer(8))
  bits.setBigUint64(0, 0xfff8000000000123n)
  expect(hashDouble(bits.getFloat64(0))).toBe(hashDouble(Number.NaN))
})

it.each([
  ['integers around zero', (i: number) => hashInteger(i - 50_000)],
  ['multiples of 2^32', (i: number) => hashInteger(i * 2 ** 32)],
  ['hours', (i: number) => hashInteger(i * 3_600_000)],
  ['fractions', (i: number) => hashDouble(i / 8)],
  ['texts', (i: number) => ofText(`user-${i}`)],
])('%s hardly ever share a hash', (_, hash) => {
  const seen = new Set<number>()
  for (let i = 0; i < 100_000; i++) seen.add(hash(i))
  expect(seen.size).toBeGreaterThan(99_980)
})

describe('key groups', () => {
  it('are the top seven bits', () => {
    expect([keyGroupOf(0), keyGroupOf(-1), keyGroupOf(0x7fffffff), keyGroupOf(1 << 25)]).toEqual([0, 127, 63, 1])
  })

  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 128])('belong to %i tasks in ranges as even as they go', (tasks) => {
    const counts = new Array<number>(tasks).fill(0)
    let last = 0
    for (let group = 0; group < KEY_GROUPS; group++) {
      const owner = ownerOf(group, tasks)
      expect(owner - last === 0 || owner - last === 1).toBe(true)
      last = owner
      counts[owner] = (counts[owner] as number) + 1
    }
    expect(last).toBe(tasks - 1)
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
  })

  it.each([
    ['texts', (i: number) => ofText(`user-${i}`)],
    ['small integers', (i: number) => hashInteger(i)],
    ['hours', (i: number) => hashInteger(i * 3_600_000)],
    ['doubles', (i: number) => hashDouble(i / 8)],
    ['bigints', (i: number) => hashBigint(BigInt(i))],
  ])('take their share of %s', (_, hash) => {
    const counts = new Array<number>(KEY_GROUPS).fill(0)
    for (let i = 0; i < 128 * 200; i++) {
      const group = keyGroupOf(hash(i))
      counts[group] = (counts[group] as number) + 1
    }
    expect(Math.min(...counts)).toBeGreaterThan(120)
    expect(Math.max(...counts)).toBeLessThan(280)
  })
})
