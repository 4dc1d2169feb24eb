import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { VarintReader, varintLength, varlongLength, writeVarint, writeVarlong } from '../../src/common/bytes.js'

/** Kafka's definition, in bigints. */
function zigzagBytes(value: number): number[] {
  let rest = value >= 0 ? BigInt(value) * 2n : -BigInt(value) * 2n - 1n
  const bytes: number[] = []
  while (rest >= 128n) {
    bytes.push(Number(rest & 127n) | 128)
    rest >>= 7n
  }
  bytes.push(Number(rest))
  return bytes
}

const edges = [
  0,
  -1,
  1,
  63,
  -64,
  64,
  -65,
  8191,
  8192,
  2 ** 27,
  2 ** 30 - 1,
  2 ** 30,
  -(2 ** 30),
  -(2 ** 30) - 1,
  2 ** 31 - 1,
  -(2 ** 31),
]

describe('varints', () => {
  test('are the bytes that Kafka writes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.integer(), fc.constantFrom(...edges)), (value) => {
        const target = new Uint8Array(10)
        const end = writeVarint(target, 0, value)
        expect([...target.subarray(0, end)]).toStrictEqual(zigzagBytes(value))
        expect(varintLength(value)).toBe(end)
        const reader = new VarintReader(target, 0, end)
        expect([reader.varint(), reader.ok, reader.at]).toStrictEqual([value, true, end])
      }),
    )
  })

  test('of 64 bits hold every safe integer', () => {
    const wide = [...edges, 2 ** 40, -(2 ** 41), Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]
    fc.assert(
      fc.property(fc.oneof(fc.maxSafeInteger(), fc.constantFrom(...wide)), (value) => {
        const target = new Uint8Array(10)
        const end = writeVarlong(target, 0, value)
        expect([...target.subarray(0, end)]).toStrictEqual(zigzagBytes(value))
        expect(varlongLength(value)).toBe(end)
        const reader = new VarintReader(target, 0, end)
        expect([reader.varlong() + 0, reader.ok, reader.at]).toStrictEqual([value, true, end])
      }),
    )
  })

  test('that end too early, are too long or no safe integers are not read', () => {
    const long = new Uint8Array(12).fill(0xff)
    for (const [bytes, end] of [
      [long, 12],
      [long, 3],
      [long, 0],
      [Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x1f), 5],
    ] as const) {
      const reader = new VarintReader(bytes, 0, end)
      reader.varint()
      expect(reader.ok).toBe(false)
    }
    for (const bytes of [
      long,
      Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01),
      Uint8Array.of(0x80),
    ]) {
      const reader = new VarintReader(bytes, 0, bytes.length)
      reader.varlong()
      expect(reader.ok).toBe(false)
    }
  })
})
