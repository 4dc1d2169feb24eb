import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  murmur2,
  murmur2OfKey,
  murmur2OfString,
  murmur3OfKey,
  partitionOfKey,
  STICKY_BYTES,
  StickyPartitioner,
} from '../../src/record/partitioner.js'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('K-13: murmur2', () => {
  test.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])("of %j is what Kafka's clients compute", (text, hash) => {
    expect(murmur2OfString(text)).toBe(hash)
    expect(murmur2(bytes(text))).toBe(hash)
    expect(partitionOfKey(text, 12)).toBe((hash & 0x7fffffff) % 12)
  })

  test('of a string is that of its UTF-8', () => {
    const text = fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 700 }),
      fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 30 }).map((codes) => String.fromCharCode(...codes)),
    )
    fc.assert(
      fc.property(text, fc.nat(3), (key, shift) => {
        const shifted = new Uint8Array([...new Uint8Array(shift), ...bytes(key)])
        expect(murmur2OfKey(key)).toBe(murmur2(bytes(key)))
        expect(murmur2(shifted, shift)).toBe(murmur2(bytes(key)))
      }),
    )
  })
})

/** MurmurHash3_x86_32 from its description. */
function murmur3(data: Uint8Array): number {
  const rotate = (n: number, by: number): number => (n << by) | (n >>> (32 - by))
  const mix = (k: number): number => Math.imul(rotate(Math.imul(k, 0xcc9e2d51), 15), 0x1b873593)
  let h = 0
  const whole = data.length & ~3
  const view = new DataView(data.buffer, data.byteOffset, data.length)
  for (let i = 0; i < whole; i += 4) h = (Math.imul(rotate(h ^ mix(view.getInt32(i, true)), 13), 5) + 0xe6546b64) | 0
  let rest = 0
  for (let i = data.length - 1; i >= whole; i--) rest = (rest << 8) | (data[i] as number)
  if (data.length > whole) h ^= mix(rest)
  h ^= data.length
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

describe('murmur3', () => {
  test('of any text and any bytes is the reference', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (key) => {
        expect(murmur3OfKey(key)).toBe(murmur3(bytes(key)))
        expect(murmur3OfKey(bytes(key))).toBe(murmur3(bytes(key)))
      }),
    )
  })

  test('tells keys apart that differ beyond the low byte of their characters', () => {
    const keys = Array.from({ length: 2048 }, (_, i) => String.fromCharCode(0x4e00 + i))
    expect(new Set(keys.map((key) => murmur3OfKey(key))).size).toBe(2048)
  })
})

describe('K-14: the sticky partitioner', () => {
  test('stays until enough bytes are written, then moves to another partition', () => {
    let seed = 1
    const sticky = new StickyPartitioner(5, () => {
      seed = (seed * 16807) % 2147483647
      return seed / 2147483647
    })
    const seen = new Set<number>()
    for (let i = 0; i < 200; i++) {
      const before = sticky.current
      sticky.wrote(STICKY_BYTES - 1)
      expect(sticky.current).toBe(before)
      sticky.wrote(1)
      expect(sticky.current).not.toBe(before)
      seen.add(sticky.current)
    }
    expect([...seen].sort()).toStrictEqual([0, 1, 2, 3, 4])
  })

  test('with one partition has no choice', () => {
    const sticky = new StickyPartitioner(1, () => 0.999)
    sticky.wrote(1e9)
    expect(sticky.current).toBe(0)
  })
})
