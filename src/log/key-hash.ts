/**
 * SipHash-2-4 with 128 bits, under a key of this process's own: what compaction knows a record's key by. Two keys with one hash would be
 * one key to it, and a record would be lost; at 128 bits that does not happen by chance, and the secret keeps it from being made to happen.
 * (Kafka takes MD5 for it, which is as long and is known to everybody.) 64-bit words are pairs of 32-bit halves here.
 */
export class KeyHash {
  /** Of the last call: four words. */
  readonly out = new Int32Array(4)
  readonly #key = new Int32Array(4)
  readonly #v = new Int32Array(8)

  /** @param secret 16 bytes */
  constructor(secret: Uint8Array) {
    const view = new DataView(secret.buffer, secret.byteOffset, 16)
    for (let i = 0; i < 4; i++) this.#key[i] = view.getInt32(i * 4, true)
  }

  hash(u8: Uint8Array, from: number, to: number): Int32Array {
    const v = this.#v
    const key = this.#key
    const k0 = key[0] as number
    const k1 = key[1] as number
    const k2 = key[2] as number
    const k3 = key[3] as number
    // v0…v3, low half first.
    v[0] = k0 ^ 0x70736575
    v[1] = k1 ^ 0x736f6d65
    v[2] = k2 ^ 0x6e646f6d ^ 0xee
    v[3] = k3 ^ 0x646f7261
    v[4] = k0 ^ 0x6e657261
    v[5] = k1 ^ 0x6c796765
    v[6] = k2 ^ 0x79746573
    v[7] = k3 ^ 0x74656462
    const length = to - from
    let at = from
    for (const whole = to - (length & 7); at < whole; at += 8) {
      const low = word(u8, at)
      const high = word(u8, at + 4)
      v[6] = (v[6] as number) ^ low
      v[7] = (v[7] as number) ^ high
      rounds(v, 2)
      v[0] = (v[0] as number) ^ low
      v[1] = (v[1] as number) ^ high
    }
    let low = 0
    let high = length << 24
    for (let i = 0; at + i < to; i++) {
      if (i < 4) low |= (u8[at + i] as number) << (8 * i)
      else high |= (u8[at + i] as number) << (8 * (i - 4))
    }
    v[6] = (v[6] as number) ^ low
    v[7] = (v[7] as number) ^ high
    rounds(v, 2)
    v[0] = (v[0] as number) ^ low
    v[1] = (v[1] as number) ^ high
    v[4] = (v[4] as number) ^ 0xee
    rounds(v, 4)
    const { out } = this
    out[0] = (v[0] as number) ^ (v[2] as number) ^ (v[4] as number) ^ (v[6] as number)
    out[1] = (v[1] as number) ^ (v[3] as number) ^ (v[5] as number) ^ (v[7] as number)
    v[2] = (v[2] as number) ^ 0xdd
    rounds(v, 4)
    out[2] = (v[0] as number) ^ (v[2] as number) ^ (v[4] as number) ^ (v[6] as number)
    out[3] = (v[1] as number) ^ (v[3] as number) ^ (v[5] as number) ^ (v[7] as number)
    return out
  }
}

function word(u8: Uint8Array, at: number): number {
  return (
    (u8[at] as number) | ((u8[at + 1] as number) << 8) | ((u8[at + 2] as number) << 16) | ((u8[at + 3] as number) << 24)
  )
}

/**
 * The SipRound, so many times. The halves live in locals; only the ends touch the array. The carry of a low half comes from its bits, since a
 * comparison of unsigned words would leave the integers.
 */
function rounds(v: Int32Array, count: number): void {
  let a0 = v[0] as number
  let a1 = v[1] as number
  let b0 = v[2] as number
  let b1 = v[3] as number
  let c0 = v[4] as number
  let c1 = v[5] as number
  let d0 = v[6] as number
  let d1 = v[7] as number
  for (let i = 0; i < count; i++) {
    let low = (a0 + b0) | 0
    a1 = (a1 + b1 + (((a0 & b0) | ((a0 | b0) & ~low)) >>> 31)) | 0
    a0 = low
    low = (b0 << 13) | (b1 >>> 19)
    b1 = ((b1 << 13) | (b0 >>> 19)) ^ a1
    b0 = low ^ a0
    low = a0
    a0 = a1
    a1 = low

    low = (c0 + d0) | 0
    c1 = (c1 + d1 + (((c0 & d0) | ((c0 | d0) & ~low)) >>> 31)) | 0
    c0 = low
    low = (d0 << 16) | (d1 >>> 16)
    d1 = ((d1 << 16) | (d0 >>> 16)) ^ c1
    d0 = low ^ c0

    low = (a0 + d0) | 0
    a1 = (a1 + d1 + (((a0 & d0) | ((a0 | d0) & ~low)) >>> 31)) | 0
    a0 = low
    low = (d0 << 21) | (d1 >>> 11)
    d1 = ((d1 << 21) | (d0 >>> 11)) ^ a1
    d0 = low ^ a0

    low = (c0 + b0) | 0
    c1 = (c1 + b1 + (((c0 & b0) | ((c0 | b0) & ~low)) >>> 31)) | 0
    c0 = low
    low = (b0 << 17) | (b1 >>> 15)
    b1 = ((b1 << 17) | (b0 >>> 15)) ^ c1
    b0 = low ^ c0
    low = c0
    c0 = c1
    c1 = low
  }
  v[0] = a0
  v[1] = a1
  v[2] = b0
  v[3] = b1
  v[4] = c0
  v[5] = c1
  v[6] = d0
  v[7] = d1
}
