import { crc32c, tableCrc32c } from '../../dist/common/checksum.js'
import type { Kernel } from './run.js'

/** CRC-32C of a record batch, native where it is installed and by table. */
export function checksum(): Kernel[] {
  const kernels: Kernel[] = []
  for (const bytes of [64, 1024, 65_536, 1 << 20]) {
    const data = new Uint8Array(new SharedArrayBuffer(bytes))
    for (let i = 0; i < bytes; i++) data[i] = (i * 2654435761) >>> 13
    if (crc32c(data) !== tableCrc32c(data)) throw new Error(`two checksums of ${bytes} bytes differ`)
    kernels.push(
      { name: `crc32c of ${bytes} bytes, per KiB`, items: bytes / 1024, run: () => void crc32c(data) },
      { name: `by table, ${bytes} bytes, per KiB`, items: bytes / 1024, run: () => void tableCrc32c(data) },
    )
  }
  return kernels
}
