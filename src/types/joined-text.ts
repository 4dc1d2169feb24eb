import { writeLongUtf8, writeUtf8 } from '../common/utf8.js'
import type { BlockBuilder } from './block-builder.js'
import type { ColumnBuffer } from './column-buffer.js'

/**
 * Strings of many records as UTF-8, by one call of the engine's encoder for all of them. Reading a string character by character takes
 * some 35 instructions a character, since each look asks anew how the string lies in memory, and a call of the encoder 800 whatever the
 * length; to hang a string behind another takes 40. So the strings of a tile are joined as they come, with their lengths as their ends,
 * and written as one. Mostly it is all ASCII, as many bytes as characters, and the ends are right.
 */

/** Longer strings are written by themselves: what is gained is little, and the joined text would be copied around. */
export const JOINED_LENGTH_MAX = 256

/** Records of each part in a tile, so that a call of the encoder serves so many strings. */
const TILE_PART_ROWS = 64
const TILE_ROWS_MIN = 256
const TILE_ROWS_MAX = 4096
/** Below so many records a part it is not worth it. */
const PART_ROWS_MIN = 16

export function isWorthJoining(rows: number, parts: number): boolean {
  return rows >= parts * PART_ROWS_MIN
}

export function joinedTileRows(parts: number): number {
  return Math.min(TILE_ROWS_MAX, Math.max(TILE_ROWS_MIN, parts * TILE_PART_ROWS))
}

/** The joined text of each part, none yet. */
export function noTexts(parts: number): string[] {
  return new Array<string>(parts).fill('')
}

/**
 * Writes what was joined for one part of a `bytes` column. Its characters are counted already: in the offsets of its rows, and in the part's end.
 * Its rows are among rows[from … to), which belong to parts[from … to).
 */
export function writeJoined(
  builder: BlockBuilder,
  slot: number,
  part: number,
  text: string,
  rows: Int32Array,
  parts: Int32Array,
  from: number,
  to: number,
): void {
  const column = builder.columns[slot] as ColumnBuffer
  const start = (column.partEnds[part] as number) - text.length
  const bytes = builder.ensurePartBytes(slot, part, start, start + text.length * 3)
  const end = writeLongUtf8(bytes, start, text)
  if (end === start + text.length) return
  let last = to - 1
  while (last > from && parts[last] !== part) last--
  const endRow = (rows[last] as number) + 1
  const offsets = column.values as Int32Array
  let row = endRow
  while ((offsets[row] as number) > start) row--
  column.partEnds[part] = settleEnds(offsets, row + 1, endRow + 1, text, bytes, start)
}

/**
 * Strings [from, to) were written as one text from byte `start` on, and ends[n] is where the nth would end if each character were a byte. Makes them
 * the ends they have, and returns the last.
 */
export function settleEnds(
  ends: Int32Array,
  from: number,
  to: number,
  text: string,
  bytes: Uint8Array,
  start: number,
): number {
  let at = start
  let character = 0
  for (let n = from; n < to; n++) {
    const endCharacter = (ends[n] as number) - start
    let left = endCharacter - character
    const first = at
    while (left > 0) {
      const byte = bytes[at] as number
      at += byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4
      left -= byte < 0xf0 ? 1 : 2
    }
    // Half a character at the end of one string and half at the beginning of the next are none: each stands for itself.
    if (left < 0) return writeEach(ends, n, to, text, bytes, start, first, character)
    ends[n] = at
    character = endCharacter
  }
  return at
}

function writeEach(
  ends: Int32Array,
  from: number,
  to: number,
  text: string,
  bytes: Uint8Array,
  start: number,
  firstByte: number,
  firstCharacter: number,
): number {
  let at = firstByte
  let character = firstCharacter
  for (let n = from; n < to; n++) {
    const endCharacter = (ends[n] as number) - start
    at = writeUtf8(bytes, at, text.slice(character, endCharacter))
    ends[n] = at
    character = endCharacter
  }
  return at
}
