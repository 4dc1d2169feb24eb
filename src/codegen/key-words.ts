import type { FunctionSource } from '../common/function-source.js'
import { KEY_WORD_BYTES } from '../state/group-table.js'
import { finishHash, hashBytes } from '../state/hash.js'
import type { CodeValue } from './code-value.js'

/**
 * Keys of bytes as words: a group's head holds the first 12 bytes of its key as three words, so a short key is compared without a
 * loop, and its hash (that of state/hash.ts, to the bit) is made of the same words as they are read.
 */
export const HASH_OF_NOTHING = 0x3c6ef372

/** Takes in the key's last, partial word, zeros behind its end. A zero changes nothing. */
export function mixTail(h: number, word: number): number {
  const k = Math.imul(word, 0xcc9e2d51)
  return h ^ Math.imul((k << 15) | (k >>> 17), 0x1b873593)
}

export function mixWord(h: number, word: number): number {
  const x = mixTail(h, word)
  return (Math.imul((x << 13) | (x >>> 19), 5) + 0xe6546b64) | 0
}

/** What is behind the last whole word of a key of at least 4 bytes: read backwards from its end, never beyond it. */
export function tailWord(dv: DataView, end: number, length: number): number {
  return (dv.getInt32(end - 4, true) >>> 8) >>> (24 - ((length & 3) << 3))
}

/** Word `k` of the bytes [start, end), zeros behind their end; for any length. */
export function keyWord(u8: Uint8Array, start: number, end: number, k: number): number {
  let word = 0
  for (let i = 0; i < 4; i++) {
    const at = start + k * 4 + i
    if (at < end) word |= (u8[at] as number) << (i * 8)
  }
  return word
}

/** Locals of the generated code for key `i`. */
export function keyLocals(i: number): {
  readonly length: string
  readonly words: readonly string[]
  readonly hash: string
} {
  return { length: `kn${i}`, words: [`kx${i}`, `ky${i}`, `kz${i}`], hash: `kh${i}` }
}

/** Declares and fills them. Keys of 4 to 12 bytes, the usual ones, go without a loop and without a byte read alone. */
export function declareKeyWords(source: FunctionSource, i: number, bytes: NonNullable<CodeValue['bytes']>): void {
  const { u8, dv, start, end } = bytes
  const { length: n, words, hash: h } = keyLocals(i)
  const [x, y, z] = words
  const mix = source.constant(mixWord)
  const finish = source.constant(finishHash)
  source.line(`const ${n} = ${end} - ${start}; let ${words.map((word) => `${word} = 0`).join(', ')}, ${h} = 0;`)
  source.block(`if (${n} >= 4 && ${n} <= ${KEY_WORD_BYTES})`, () => {
    source.line(`const tail = ${source.constant(tailWord)}(${dv}, ${end}, ${n});`)
    source.line(`${x} = ${dv}.getInt32(${start}, true); ${h} = ${mix}(${HASH_OF_NOTHING}, ${x});`)
    source.line(`if (${n} < 8) ${y} = tail;`)
    source.line(`else { ${y} = ${dv}.getInt32(${start} + 4, true); ${h} = ${mix}(${h}, ${y}); }`)
    source.line(`if (${n} === 12) { ${z} = ${dv}.getInt32(${start} + 8, true); ${h} = ${mix}(${h}, ${z}); }`)
    source.line(`else if (${n} >= 8) ${z} = tail;`)
    source.line(`${h} = ${finish}(${source.constant(mixTail)}(${h}, tail) ^ ${n});`)
  })
  source.block('else', () => {
    source.line(`${h} = ${source.constant(hashBytes)}(${dv}, ${u8}, ${start}, ${end});`)
    words.forEach((word, k) => {
      source.line(`${word} = ${source.constant(keyWord)}(${u8}, ${start}, ${end}, ${k});`)
    })
  })
}
