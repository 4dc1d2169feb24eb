import fc from 'fast-check'
import { expect, test } from 'vitest'
import { HASH_OF_NOTHING, keyWord, mixTail, mixWord, tailWord } from '../../src/codegen/key-words.js'
import { finishHash, hashBytes } from '../../src/state/hash.js'

const keys = fc.uint8Array({ maxLength: 40 })

function placed(key: Uint8Array): { u8: Uint8Array; dv: DataView; start: number; end: number } {
  const u8 = new Uint8Array(key.length + 5).fill(0xff)
  u8.set(key, 2)
  return { u8, dv: new DataView(u8.buffer), start: 2, end: 2 + key.length }
}

test('words mixed one by one give the hash of the bytes', () => {
  fc.assert(
    fc.property(keys, (key) => {
      const { u8, dv, start, end } = placed(key)
      let h = HASH_OF_NOTHING
      for (let k = 0; k < key.length >> 2; k++) h = mixWord(h, keyWord(u8, start, end, k))
      const tail = key.length < 4 ? keyWord(u8, start, end, 0) : tailWord(dv, end, key.length)
      expect(tail).toBe(keyWord(u8, start, end, key.length >> 2))
      expect(finishHash(mixTail(h, tail) ^ key.length)).toBe(hashBytes(dv, u8, start, end))
    }),
  )
})

test('words and the length tell keys of up to twelve bytes apart', () => {
  const short = fc.array(fc.constantFrom(0, 1, 0x80, 0xff), { maxLength: 12 })
  fc.assert(
    fc.property(short, short, (a, b) => {
      const [x, y] = [placed(Uint8Array.from(a)), placed(Uint8Array.from(b))]
      const same = [0, 1, 2].every((k) => keyWord(x.u8, x.start, x.end, k) === keyWord(y.u8, y.start, y.end, k))
      expect(same && a.length === b.length).toBe(JSON.stringify(a) === JSON.stringify(b))
    }),
  )
})
