import type { FileMetaData } from 'hyparquet'
import type { FileHandle, FileSystem } from '../../common/env.js'
import { MillraceError } from '../../common/errors.js'

/** The package hyparquet, which reads Parquet, and what is asked of it where nobody can wait: how many rows a file has. */
type Hyparquet = typeof import('hyparquet')

let loaded: Hyparquet | undefined

/** Awaited on a thread before anything else here is called. */
export async function loadParquet(): Promise<Hyparquet> {
  try {
    loaded ??= await import('hyparquet')
    return loaded
  } catch (cause) {
    throw new MillraceError('MISSING_PACKAGE', 'Parquet needs the package hyparquet', {
      detail: 'it is not installed, and millrace does not bring it',
      hint: 'npm install hyparquet@1',
      cause,
    })
  }
}

const MAGIC = 'PAR1'
/** Behind the footer: its length, and the magic. */
const TAIL_BYTES = 8

/** What the footer says, which is where a file that is not whole has none. */
export function parquetMetadata(handle: FileHandle, bytes: number): FileMetaData {
  const { path } = handle
  if (loaded === undefined) throw new Error('assertion failed: Parquet is asked for before hyparquet was loaded')
  const tail = new Uint8Array(Math.min(bytes, TAIL_BYTES))
  handle.read(tail, bytes - tail.length)
  const magic = Buffer.from(tail.subarray(4)).toString('latin1')
  const length = tail.length < TAIL_BYTES ? 0 : new DataView(tail.buffer).getUint32(0, true)
  if (magic !== MAGIC || length > bytes - TAIL_BYTES - MAGIC.length) {
    throw corrupt(path, `found ${bytes} bytes that end with ${JSON.stringify(magic)}, expected a footer and ${MAGIC}`)
  }
  const footer = new Uint8Array(length + TAIL_BYTES)
  handle.read(footer, bytes - footer.length)
  try {
    return loaded.parquetMetadata(footer.buffer)
  } catch (cause) {
    throw corrupt(path, `its footer of ${length} bytes cannot be read: ${String(cause)}`, cause)
  }
}

export function parquetRows(fs: FileSystem, path: string, bytes: number): number {
  const handle = fs.open(path, 'read')
  try {
    return Number(parquetMetadata(handle, bytes).num_rows)
  } finally {
    handle.close()
  }
}

export function corrupt(path: string, detail: string, cause?: unknown): MillraceError {
  return new MillraceError('FILE_CORRUPT', `${path} is no whole Parquet file`, {
    detail,
    hint: 'write it anew, under a name that begins with a dot until it is whole',
    cause,
  })
}
