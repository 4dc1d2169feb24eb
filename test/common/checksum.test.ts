import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crc32c, nativeCrc32c, tableCrc32c } from '../../src/common/checksum.js'

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text)

describe('CRC-32C', () => {
  test.each([
    [new Uint8Array(0), 0],
    [ascii('123456789'), 0xe3069283],
    // RFC 3720, B.4
    [new Uint8Array(32), 0x8a9136aa],
    [new Uint8Array(32).fill(0xff), 0x62a8ab43],
    [Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    [Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
  ])('of known bytes %#', (bytes, expected) => {
    expect(tableCrc32c(bytes)).toBe(expected)
    expect(crc32c(bytes)).toBe(expected)
    const native = nativeCrc32c()
    if (native !== undefined) expect(native(bytes) >>> 0).toBe(expected)
  })

  test('is the same by table and by native code, of shared memory too', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.nat(16), (bytes, shift) => {
        const shared = new Uint8Array(new SharedArrayBuffer(bytes.length + shift))
        shared.set(bytes, shift)
        const expected = tableCrc32c(bytes)
        expect(crc32c(shared, shift)).toBe(expected)
        expect(tableCrc32c(shared, shift)).toBe(expected)
      }),
    )
  })
})
