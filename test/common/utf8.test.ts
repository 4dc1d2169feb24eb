import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeUtf8, encodeUtf8, utf8Length, writeUtf8 } from '../../src/common/utf8.js'

const encoder = new TextEncoder()
const anyText = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 80 }),
  fc.string({ unit: 'binary-ascii', maxLength: 80 }),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 80 }).map((codes) => String.fromCharCode(...codes)),
  fc.array(fc.integer({ min: 0xd700, max: 0xe100 }), { maxLength: 80 }).map((codes) => String.fromCharCode(...codes)),
)

describe('UTF-8', () => {
  test('is what TextEncoder writes, into a Buffer and a plain array', () => {
    fc.assert(
      fc.property(anyText, fc.nat(5), (text, at) => {
        const expected = encoder.encode(text)
        expect(utf8Length(text)).toBe(expected.length)
        expect([...encodeUtf8(text)]).toStrictEqual([...expected])
        for (const target of [new Uint8Array(at + text.length * 3), Buffer.alloc(at + text.length * 3)]) {
          const end = writeUtf8(target, at, text)
          expect([...target.subarray(at, end)]).toStrictEqual([...expected])
        }
      }),
      { numRuns: 300 },
    )
  })

  test('is read as TextDecoder reads it, out of shared memory', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          anyText.map((s) => encoder.encode(s)),
          fc.uint8Array({ maxLength: 40 }),
        ),
        fc.nat(5),
        (bytes, at) => {
          const buffer = new SharedArrayBuffer(at + bytes.length + 3)
          const u8 = new Uint8Array(buffer)
          u8.set(bytes, at)
          const expected = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
          expect(decodeUtf8({ u8, node: Buffer.from(buffer) }, at, at + bytes.length)).toBe(expected)
        },
      ),
      { numRuns: 300 },
    )
  })
})
