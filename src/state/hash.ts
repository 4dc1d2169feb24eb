/**
 * The hash of grouping keys. It decides the key group, and so which task owns a key and where its state is
 * found after a restart: it never changes. MurmurHash3's mixing, words first.
 */
export const KEY_GROUPS = 128

/** 0 … 127: the top bits, since the low bits choose the slot in a table. */
export function keyGroupOf(hash: number): number {
  return hash >>> 25
}

/** The task that owns a key group when there are `tasks` of them: contiguous ranges, as even as they go. */
export function ownerOf(keyGroup: number, tasks: number): number {
  return ((keyGroup * tasks) / KEY_GROUPS) | 0
}

export const NULL_HASH = 0x2c1b3c6d

export function finishHash(h: number): number {
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return h ^ (h >>> 16)
}

export function combineHash(a: number, b: number): number {
  return finishHash((Math.imul(a, 31) + b) | 0)
}

/** Of the bytes [start, end). */
export function hashBytes(dv: DataView, u8: Uint8Array, start: number, end: number): number {
  let h = 0x3c6ef372
  let p = start
  for (; p + 4 <= end; p += 4) {
    let k = Math.imul(dv.getInt32(p, true), 0xcc9e2d51)
    k = (k << 15) | (k >>> 17)
    h ^= Math.imul(k, 0x1b873593)
    h = (h << 13) | (h >>> 19)
    h = (Math.imul(h, 5) + 0xe6546b64) | 0
  }
  if (p < end) {
    let k = u8[p] as number
    if (p + 1 < end) k |= (u8[p + 1] as number) << 8
    if (p + 2 < end) k |= (u8[p + 2] as number) << 16
    k = Math.imul(k, 0xcc9e2d51)
    k = (k << 15) | (k >>> 17)
    h ^= Math.imul(k, 0x1b873593)
  }
  return finishHash(h ^ (end - start))
}

/** Of a number that is a safe integer (every integral type, dates, timestamps, booleans as 0 and 1). */
export function hashInteger(value: number): number {
  return finishHash(Math.imul(value | 0, 0xcc9e2d51) ^ Math.imul(Math.floor(value / 4294967296), 0x1b873593))
}

const scratch = new DataView(new ArrayBuffer(8))

/** Of a double; −0 as 0 and every NaN alike, as Spark groups them. */
export function hashDouble(value: number): number {
  scratch.setFloat64(0, value === 0 ? 0 : value !== value ? Number.NaN : value, true)
  return finishHash(Math.imul(scratch.getInt32(0, true), 0xcc9e2d51) ^ Math.imul(scratch.getInt32(4, true), 0x1b873593))
}

/** Of a bigint or of a decimal's unscaled value. */
export function hashBigint(value: bigint): number {
  let h = value < 0n ? 0x5bd1e995 : 0x1b873593
  let rest = value < 0n ? -value : value
  do {
    h = combineHash(h, Number(rest & 0xffffffffn) | 0)
    rest >>= 32n
  } while (rest > 0n)
  return h
}
