import { crc32c } from '../common/checksum.js'
import { MillraceError } from '../common/errors.js'
import { readInt64BE, writeInt64BE } from '../record/batch-header.js'

/**
 * Kafka's producer snapshot: what a partition knows of its producers as of the offset that the file is named by. Recovery loads the newest
 * one that is whole and replays the batches behind it, so a snapshot that is lost or damaged costs time and nothing else.
 *
 *   // offset  size  field
 *   //      0     2  version   1
 *   //      2     4  crc       CRC-32C of everything after it
 *   //      6     4  count     of entries
 *   //     10        entries, 46 bytes each:
 *   //      0     8  producerId
 *   //      8     2  producerEpoch
 *   //     10     4  lastSequence            of its last batch; -1 = none
 *   //     14     8  lastOffset              of its last batch
 *   //     22     4  offsetDelta             of its last batch: last less first offset
 *   //     26     8  timestamp               greatest of its last batch
 *   //     34     4  coordinatorEpoch        of its last marker; -1 = none
 *   //     38     8  currentFirstOffset      of its open transaction; -1 = none
 */
const HEADER_BYTES = 10
const CRC_AT = 2
const COUNT_AT = 6
const ENTRY_BYTES = 46
const VERSION = 1

export interface ProducerSnapshotEntry {
  readonly producerId: number
  readonly producerEpoch: number
  readonly lastSequence: number
  readonly lastOffset: number
  readonly offsetDelta: number
  readonly timestamp: number
  readonly coordinatorEpoch: number
  readonly currentFirstOffset: number
}

export function encodeProducerSnapshot(entries: readonly ProducerSnapshotEntry[]): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + entries.length * ENTRY_BYTES)
  const dv = new DataView(bytes.buffer)
  dv.setInt16(0, VERSION)
  dv.setInt32(COUNT_AT, entries.length)
  let at = HEADER_BYTES
  for (const entry of entries) {
    writeInt64BE(dv, at, entry.producerId)
    dv.setInt16(at + 8, entry.producerEpoch)
    dv.setInt32(at + 10, entry.lastSequence)
    writeInt64BE(dv, at + 14, entry.lastOffset)
    dv.setInt32(at + 22, entry.offsetDelta)
    writeInt64BE(dv, at + 26, entry.timestamp)
    dv.setInt32(at + 34, entry.coordinatorEpoch)
    writeInt64BE(dv, at + 38, entry.currentFirstOffset)
    at += ENTRY_BYTES
  }
  dv.setUint32(CRC_AT, crc32c(bytes, COUNT_AT))
  return bytes
}

/** Throws PRODUCER_SNAPSHOT_CORRUPT; nothing is allocated before count and checksum have been held against the bytes that are there. */
export function decodeProducerSnapshot(bytes: Uint8Array, path: string): ProducerSnapshotEntry[] {
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < HEADER_BYTES) corrupt(path, `found ${bytes.length} bytes, expected at least ${HEADER_BYTES}`)
  const version = dv.getInt16(0)
  if (version !== VERSION) corrupt(path, `found version ${version}, expected ${VERSION}`)
  const count = dv.getInt32(COUNT_AT)
  if (count < 0 || HEADER_BYTES + count * ENTRY_BYTES !== bytes.length)
    corrupt(path, `found ${count} entries in ${bytes.length} bytes`)
  const stored = dv.getUint32(CRC_AT)
  const computed = crc32c(bytes, COUNT_AT)
  if (stored !== computed) corrupt(path, `stored crc ${stored.toString(16)}, computed crc ${computed.toString(16)}`)
  const entries: ProducerSnapshotEntry[] = []
  for (let at = HEADER_BYTES; at < bytes.length; at += ENTRY_BYTES) {
    entries.push({
      producerId: readInt64BE(dv, at),
      producerEpoch: dv.getInt16(at + 8),
      lastSequence: dv.getInt32(at + 10),
      lastOffset: readInt64BE(dv, at + 14),
      offsetDelta: dv.getInt32(at + 22),
      timestamp: readInt64BE(dv, at + 26),
      coordinatorEpoch: dv.getInt32(at + 34),
      currentFirstOffset: readInt64BE(dv, at + 38),
    })
  }
  return entries
}

function corrupt(path: string, detail: string): never {
  throw new MillraceError('PRODUCER_SNAPSHOT_CORRUPT', `${path} is no whole producer snapshot`, {
    detail,
    hint: 'it may be deleted: the state of producers is built anew from the records',
  })
}
