import { expect, test } from 'vitest'
import { HASH_SEED, hashValue } from '../../src/codegen/hashing.js'
import { XXHASH_SEED, xxhashValue } from '../../src/codegen/xxhash.js'
import { scalar } from '../../src/types/data-type.js'

/** Not-a-numbers with other bits than the usual one: arithmetic gives such, and so may a file. */
const bits = new DataView(new ArrayBuffer(8))
const nanOf = (high: number, low: number): number => {
  bits.setUint32(0, high)
  bits.setUint32(4, low)
  return bits.getFloat64(0)
}
const nans = [Number.NaN, nanOf(0xfff80000, 0), nanOf(0x7ff80000, 1), nanOf(0xffffffff, 0xffffffff), Math.asin(127)]

test('every NaN has one hash, and so have the two zeros', () => {
  for (const type of [scalar('double'), scalar('float')]) {
    expect(new Set(nans.map((nan) => xxhashValue(type, nan, XXHASH_SEED))).size).toBe(1)
    expect(new Set(nans.map((nan) => hashValue(type, nan, HASH_SEED))).size).toBe(1)
    expect(xxhashValue(type, -0, XXHASH_SEED)).toBe(xxhashValue(type, 0, XXHASH_SEED))
    expect(hashValue(type, -0, HASH_SEED)).toBe(hashValue(type, 0, HASH_SEED))
  }
})
