import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeHeaders, encodeHeaders } from '../../src/record/headers.js'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('headers', () => {
  test('are written as Kafka writes them', () => {
    expect([...(encodeHeaders({ a: 'xy', b: null, c: ['1', Uint8Array.of(2)] }, 'h') as Uint8Array)]).toStrictEqual([
      8, 2, 97, 4, 120, 121, 2, 98, 1, 2, 99, 2, 49, 2, 99, 2, 2,
    ])
  })

  test('come back as bytes, repeated ones as a list', () => {
    const value = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 60 }), fc.uint8Array({ maxLength: 10 }))
    const given = fc.dictionary(
      fc.string({ unit: 'grapheme', maxLength: 8 }),
      fc.oneof(value, fc.constant(null), fc.array(value, { minLength: 2, maxLength: 3 })),
      { minKeys: 1 },
    )
    const expected = (v: unknown): unknown =>
      Array.isArray(v) ? v.map(expected) : typeof v === 'string' ? bytes(v) : v
    fc.assert(
      fc.property(given, (headers) => {
        const encoded = encodeHeaders(headers, 'h') as Uint8Array
        const back = decodeHeaders(encoded, 0, encoded.length)
        expect(Object.entries(back)).toStrictEqual(Object.entries(headers).map(([name, v]) => [name, expected(v)]))
      }),
    )
  })

  test('none are null', () => {
    expect(encodeHeaders(undefined, 'h')).toBeNull()
    expect(encodeHeaders(null, 'h')).toBeNull()
    expect(encodeHeaders({}, 'h')).toBeNull()
    expect(encodeHeaders({ a: undefined }, 'h')).toBeNull()
  })

  test('named __proto__ are headers like any other', () => {
    const encoded = encodeHeaders(JSON.parse('{"__proto__":"x"}'), 'h') as Uint8Array
    const back = decodeHeaders(encoded, 0, encoded.length)
    expect(Object.getPrototypeOf(back)).toBe(Object.prototype)
    expect(Object.keys(back)).toStrictEqual(['__proto__'])
  })

  test('of another type are refused with their path', () => {
    expect(() => encodeHeaders({ a: 1 }, 'messages[3].headers')).toThrow(
      /messages\[3\]\.headers\.a .*\n.*found number 1/,
    )
    expect(() => encodeHeaders({ a: [['x']] }, 'h')).toThrow(/h\.a /)
    expect(() => encodeHeaders('x', 'h')).toThrow(/found string "x"/)
    expect(() => encodeHeaders([], 'h')).toThrow(/found array of 0/)
  })

  test('that lie about their lengths are corrupt, whatever the bytes', () => {
    expect(() => decodeHeaders(Uint8Array.of(200, 1), 0, 2)).toThrow(
      expect.objectContaining({ code: 'RECORD_CORRUPT' }),
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), (noise) => {
        try {
          decodeHeaders(noise, 0, noise.length)
        } catch (error) {
          expect(error).toMatchObject({ code: 'RECORD_CORRUPT' })
        }
      }),
    )
  })
})
