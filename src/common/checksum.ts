import { loadCommonJs } from './commonjs.js'

/**
 * CRC-32C (Castagnoli), the checksum of Kafka's record batches. The native package is optional and takes
 * views of shared memory as they are (about 6 GB/s); without it a table-driven loop of our own gives the
 * same number at about 1.3 GB/s.
 */

/** Below this many bytes the call into native code costs more than the table loop. */
const NATIVE_BYTES_MIN = 64

type NativeCrc = (input: Uint8Array, initialState?: number) => number

let native: NativeCrc | undefined
let looked = false

/** The package's function, or undefined where it is not installed for this machine. */
export function nativeCrc32c(): NativeCrc | undefined {
  if (!looked) {
    looked = true
    try {
      const loaded: unknown = loadCommonJs('@node-rs/crc32')
      const found = (loaded as { crc32c?: unknown }).crc32c
      if (typeof found === 'function') native = found as NativeCrc
    } catch {
      // Not installed, or no binary for this platform: the table loop does the work.
    }
  }
  return native
}

/** CRC-32C of `u8[from, to)`, unsigned. */
export function crc32c(u8: Uint8Array, from = 0, to = u8.length): number {
  if (to - from >= NATIVE_BYTES_MIN) {
    const fast = nativeCrc32c()
    if (fast !== undefined) return fast(u8.subarray(from, to)) >>> 0
  }
  return tableCrc32c(u8, from, to)
}

/** Slicing by eight: table t holds the effect of a byte that is t bytes further from the end. */
const tables = makeTables()

function makeTables(): Int32Array {
  const t = new Int32Array(8 * 256)
  for (let n = 0; n < 256; n++) {
    let c = n
    for (let bit = 0; bit < 8; bit++) c = (c & 1) === 1 ? (c >>> 1) ^ 0x82f63b78 : c >>> 1
    t[n] = c
  }
  for (let n = 0; n < 256; n++) {
    for (let k = 1; k < 8; k++) {
      const before = t[(k - 1) * 256 + n] as number
      t[k * 256 + n] = (before >>> 8) ^ (t[before & 255] as number)
    }
  }
  return t
}

/** The same without the native package. */
export function tableCrc32c(u8: Uint8Array, from = 0, to = u8.length): number {
  const t = tables
  let crc = -1
  let i = from
  for (const end = to - 7; i < end; i += 8) {
    const low =
      crc ^
      ((u8[i] as number) | ((u8[i + 1] as number) << 8) | ((u8[i + 2] as number) << 16) | ((u8[i + 3] as number) << 24))
    crc =
      (t[1792 + (low & 255)] as number) ^
      (t[1536 + ((low >>> 8) & 255)] as number) ^
      (t[1280 + ((low >>> 16) & 255)] as number) ^
      (t[1024 + (low >>> 24)] as number) ^
      (t[768 + (u8[i + 4] as number)] as number) ^
      (t[512 + (u8[i + 5] as number)] as number) ^
      (t[256 + (u8[i + 6] as number)] as number) ^
      (t[u8[i + 7] as number] as number)
  }
  for (; i < to; i++) crc = (crc >>> 8) ^ (t[(crc ^ (u8[i] as number)) & 255] as number)
  return ~crc >>> 0
}
