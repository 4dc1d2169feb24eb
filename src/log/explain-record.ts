import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import {
  BASE_TIMESTAMP,
  baseOffsetOf,
  batchAttributes,
  CONTROL,
  DELETE_HORIZON,
  hasColumnsPayload,
  readInt64BE,
  TRANSACTIONAL,
} from '../record/batch-header.js'
import { RecordCursor } from '../record/rows-payload.js'
import { ColumnsCompactor } from './columns-compactor.js'
import { compactionEnd, isCompacted } from './compaction-policy.js'
import { CLEANER_SLICE_MS } from './limits.js'
import { partitionName, type TopicDescriptor } from './partition-descriptor.js'
import type { PartitionLog, SegmentEntry } from './partition-log.js'
import { PartitionReader } from './partition-reader.js'
import { retentionLimits } from './retention.js'
import { maxTimestampOf } from './segment-times.js'
import type { LogMemory } from './shared-memory.js'
import { WorkSlices } from './work-slices.js'

/** Why a record is still there, or what became of it, in words and as data. */
export interface RecordExplanation {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /**
   *   present    it is there
   *   compacted  a later record of its key has taken its place, or it was a tombstone whose time had come, or a transaction's marker
   *   deleted    it is below the log start offset
   *   not given  no record has this offset so far
   */
  readonly state: 'present' | 'compacted' | 'deleted' | 'not given'
  /** The next offset that there is a record at, where there is none here. */
  readonly nextOffset?: number
  /** One sentence for each rule that keeps it, or that will take it and when. */
  readonly reasons: readonly string[]
}

export interface ExplainOptions {
  readonly env: Env
  readonly memory: LogMemory
  readonly topic: TopicDescriptor
  readonly log: PartitionLog
  readonly offset: number
  readonly uncleanable: Error | undefined
}

interface FoundRecord {
  readonly key: Uint8Array | null
  readonly isTombstone: boolean
  readonly isTransactional: boolean
  /** When a tombstone may go; -1 = not known before compaction has seen it. */
  readonly horizon: number
}

export async function explainRecord(options: ExplainOptions): Promise<RecordExplanation> {
  const { topic, log, offset } = options
  const { control } = log
  const base = { topic: topic.name, partition: log.descriptor.partition, offset }
  const start = control.logStartOffset()
  const end = control.logEndOffset()
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw new MillraceError('OFFSET_OUT_OF_RANGE', `${partitionName(log.descriptor)} has no offset ${offset}`, {
      detail: `it has offsets from ${start} to ${end}, the next to be given`,
      hint: 'offsets are whole numbers from 0 on',
    })
  }
  if (offset >= end) {
    return {
      ...base,
      state: 'not given',
      reasons: [`the next record of ${partitionName(log.descriptor)} gets offset ${end}`],
    }
  }
  if (offset < start) {
    return {
      ...base,
      state: 'deleted',
      nextOffset: start,
      reasons: [`the log start offset is ${start}: retention or deleteRecords has passed it`],
    }
  }
  const search = new KeySearch(options)
  try {
    const found = search.recordAt(offset)
    if (found === undefined) {
      const nextOffset = search.nextOffset
      return {
        ...base,
        state: 'compacted',
        nextOffset,
        reasons: [
          'compaction has taken it, or it is the marker of a transaction',
          `a read there goes on at offset ${nextOffset}`,
        ],
      }
    }
    const reasons = [...retentionReasons(options), ...(await compactionReasons(options, found, search))]
    return { ...base, state: 'present', reasons }
  } finally {
    search.close()
  }
}

function retentionReasons({ env, topic, log, offset }: ExplainOptions): string[] {
  const limits = retentionLimits(topic.config)
  if (!String(topic.config['cleanup.policy']).includes('delete')) {
    return isCompacted(topic.config)
      ? ["cleanup.policy is 'compact': neither age nor size deletes it"]
      : ['cleanup.policy is empty: the topic is kept for ever']
  }
  const reasons: string[] = []
  const segment = segmentOf(log, offset)
  if (segment === undefined)
    reasons.push('it is in memory alone; whole chunks of 4 MiB are deleted there, the oldest first')
  else {
    const isActive = segment.baseOffset === log.activeBaseOffset()
    reasons.push(
      `it is in the segment at ${segment.baseOffset} of ${segment.size} bytes${isActive ? ', which is being appended to' : ''}; whole segments are deleted, the oldest first`,
    )
  }
  if (limits.retentionMs < 0) reasons.push('retention.ms is -1: its age does not matter')
  else if (segment !== undefined) {
    segment.maxTimestamp ??= maxTimestampOf(env, log.descriptor.directory ?? '', segment.baseOffset, segment.size)
    const due = segment.maxTimestamp + limits.retentionMs
    const when = due < 8.64e15 ? new Date(due).toISOString() : 'a time that no calendar has'
    reasons.push(
      due <= env.now()
        ? `retention.ms is ${limits.retentionMs}: the segment is due since ${when}, and goes at the next look`
        : `retention.ms is ${limits.retentionMs}: the newest record of the segment keeps it until ${when}`,
    )
  } else reasons.push(`retention.ms is ${limits.retentionMs}: the newest record of its chunk decides`)
  if (limits.retentionBytes < 0) reasons.push('retention.bytes is -1: the size of the partition does not matter')
  else {
    reasons.push(
      `retention.bytes is ${limits.retentionBytes}: the partition has ${log.logBytes()} in files, and the oldest segment goes once it has that much without it`,
    )
  }
  return reasons
}

async function compactionReasons(options: ExplainOptions, found: FoundRecord, search: KeySearch): Promise<string[]> {
  const { env, topic, log, offset, uncleanable } = options
  if (!isCompacted(topic.config)) return []
  if (uncleanable !== undefined) return ['the partition is damaged and is not compacted until it is opened again whole']
  if (found.key === null) return ['it has no key, so the next compaction takes it']
  const reasons: string[] = []
  const later = await search.laterOffsetOf(found.key, offset)
  if (later === undefined) reasons.push('it is the last record of its key')
  else reasons.push(`the record at offset ${later} has the same key: compaction takes this one`)
  const end = compactionEnd(log.segments(), log.activeBaseOffset(), topic.config, {
    nowMs: env.now(),
    lastStableOffset: log.control.lastStableOffset(),
    maxTimestamp: (i) => log.segments()[i]?.maxTimestamp ?? -1,
  })
  if (offset >= log.activeBaseOffset())
    reasons.push('its segment is being appended to, and is not compacted before it is sealed')
  else if (offset >= log.control.lastStableOffset()) reasons.push('a transaction that is open may still be aborted')
  else if (offset >= end)
    reasons.push(`it is younger than min.compaction.lag.ms, ${topic.config['min.compaction.lag.ms']}`)
  else if (later !== undefined) {
    reasons.push(
      `compaction begins once more than ${topic.config['min.cleanable.dirty.ratio']} of the partition is new since the last one (min.cleanable.dirty.ratio), or with compactNow()`,
    )
  }
  if (found.isTombstone) {
    reasons.push(
      found.horizon === -1
        ? `it is a tombstone: it stays for delete.retention.ms, ${topic.config['delete.retention.ms']}, after the first compaction that sees it`
        : `it is a tombstone: the first compaction after ${new Date(found.horizon).toISOString()} takes it`,
    )
  }
  if (found.isTransactional) reasons.push('it was sent in a transaction')
  return reasons
}

function segmentOf(log: PartitionLog, offset: number): SegmentEntry | undefined {
  let found: SegmentEntry | undefined
  for (const segment of log.segments()) if (segment.baseOffset <= offset) found = segment
  return found
}

/** Looks for records by offset and by key, in slices. */
class KeySearch {
  nextOffset = -1
  readonly #reader: PartitionReader
  readonly #columns: ColumnsCompactor | undefined
  readonly #slices: WorkSlices

  constructor({ env, memory, topic, log }: ExplainOptions) {
    this.#reader = new PartitionReader({ partition: log.descriptor, memory, env })
    this.#columns = topic.schema === undefined ? undefined : new ColumnsCompactor(topic.schema)
    this.#slices = new WorkSlices(env, CLEANER_SLICE_MS)
  }

  recordAt(offset: number): FoundRecord | undefined {
    const reader = this.#reader
    reader.seek(offset)
    let found: FoundRecord | undefined
    while (found === undefined && this.nextOffset === -1 && reader.next()) {
      const attributes = batchAttributes(reader.views.dv, reader.position)
      this.#eachRecord((key, at, isTombstone) => {
        if (at > offset && this.nextOffset === -1) this.nextOffset = at
        if (at !== offset) return
        const isMarked = (attributes & DELETE_HORIZON) !== 0
        found = {
          key: key === null ? null : Uint8Array.from(key),
          isTombstone,
          isTransactional: (attributes & (TRANSACTIONAL | CONTROL)) === TRANSACTIONAL,
          horizon: isMarked ? readInt64BE(reader.views.dv, reader.position + BASE_TIMESTAMP) : -1,
        }
      })
      if (baseOffsetOf(reader.views.dv, reader.position) > offset) break
    }
    if (this.nextOffset === -1) this.nextOffset = reader.nextOffset
    reader.release()
    return found
  }

  async laterOffsetOf(key: Uint8Array, offset: number): Promise<number | undefined> {
    const reader = this.#reader
    reader.seek(offset)
    let later: number | undefined
    while (later === undefined && reader.next()) {
      this.#eachRecord((other, at) => {
        if (later === undefined && at > offset && other !== null && Buffer.compare(other, key) === 0) later = at
      })
      if (!this.#slices.isOver) continue
      reader.release()
      await this.#slices.next()
    }
    return later
  }

  close(): void {
    this.#reader.close()
  }

  #eachRecord(visit: (key: Uint8Array | null, offset: number, isTombstone: boolean) => void): void {
    const { views, position } = this.#reader
    if (this.#columns !== undefined && hasColumnsPayload(views.dv, position)) {
      this.#columns.eachKey(views, position, (u8, start, end, offset) => {
        visit(start === -1 ? null : u8.subarray(start, end), offset, false)
        return true
      })
      return
    }
    const cursor = RecordCursor.ofBatch(views, position)
    while (cursor.next()) {
      const key = cursor.keyStart === -1 ? null : views.u8.subarray(cursor.keyStart, cursor.keyEnd)
      visit(key, cursor.offset, cursor.valueStart === -1)
    }
  }
}
