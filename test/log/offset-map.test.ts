import fc from 'fast-check'
import { expect, test } from 'vitest'
import { KeyHash } from '../../src/log/key-hash.js'
import { OffsetMap } from '../../src/log/offset-map.js'

const secret = Uint8Array.from({ length: 16 }, (_, i) => i)

const hex = (words: Int32Array): string => Buffer.from(words.buffer, words.byteOffset, words.byteLength).toString('hex')

test("the hash is SipHash-2-4-128: its authors' vectors", () => {
  const hash = new KeyHash(secret)
  const input = Uint8Array.from({ length: 64 }, (_, i) => i)
  expect(hex(hash.hash(input, 0, 0))).toBe('a3817f04ba25a8e66df67214c7550293')
  expect(hex(hash.hash(input, 0, 1))).toBe('da87c1d86b99af44347659119b22fc45')
  expect(hex(hash.hash(input, 0, 8))).toBe('3b62a9ba6258f5610f83e264f31497b4')
})

test('a key has the last offset that it was put with, and keys do not mix', () => {
  const operations = fc.array(fc.uint8Array({ maxLength: 3 }), { maxLength: 600 })
  fc.assert(
    fc.property(operations, (keys) => {
      const map = new OffsetMap(600, new KeyHash(secret))
      const model = new Map<string, number>()
      keys.forEach((key, offset) => {
        map.put(key, 0, key.length, offset)
        model.set(Buffer.from(key).toString('hex'), offset)
      })
      expect(map.size).toBe(model.size)
      for (const [key, offset] of model) {
        const bytes = Buffer.from(key, 'hex')
        expect(map.get(bytes, 0, bytes.length)).toBe(offset)
      }
      const absent = Buffer.from('absent')
      expect(map.get(absent, 0, absent.length)).toBe(-1)
    }),
  )
})

test('a map is full before its table is', () => {
  const map = new OffsetMap(10, new KeyHash(secret))
  const key = new Uint8Array(4)
  const view = new DataView(key.buffer)
  let offset = 0
  for (; !map.isFull; offset++) {
    view.setInt32(0, offset)
    map.put(key, 0, 4, offset)
  }
  expect(offset).toBe(map.capacity)
  view.setInt32(0, offset)
  expect(map.get(key, 0, 4)).toBe(-1)
})
