import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchByteLength,
  batchRecordCount,
  nextOffsetOf,
} from '../record/batch-header.js'
import { checksumFault, headerFault } from './batch-check.js'
import { BatchContent } from './batch-content.js'
import type { FileWindow } from './file-window.js'

/**
 * Walks the record batches of a segment file with every check there is: header, checksum, and that offsets go on where they
 * left off. The base offset is outside the checksum, so its only check is its neighbours.
 */
export interface ScannedBatch {
  /** Of the batch in the file. */
  position: number
  byteLength: number
  baseOffset: number
  lastOffset: number
}

export interface Resync {
  readonly position: number
  readonly baseOffset: number
}

export class BatchScan {
  /** Why the last `check` said no. */
  fault = ''
  readonly batch: ScannedBatch = { position: 0, byteLength: 0, baseOffset: 0, lastOffset: 0 }
  #content: BatchContent | undefined
  /** What a whole batch claimed that the last `check` refused for that claim alone; empty where it was something else. */
  #refusedFrom = 0
  #refusedTo = 0

  constructor(
    readonly window: FileWindow,
    /** Bytes of the file that count. */
    public end: number,
    readonly dense: boolean,
    /** Where offsets may be missing at all, it is below this one alone. */
    readonly gapsBelow = Number.MAX_SAFE_INTEGER,
    /** Where the file behind this one begins: no offset of this one reaches it. */
    readonly endOffset = Number.MAX_SAFE_INTEGER,
  ) {}

  /** True where a whole batch with the right checksum begins at `position` and its offsets follow; then `batch` and the window have it. */
  check(position: number, expectedOffset: number): boolean {
    const { window, batch } = this
    this.#refusedTo = this.#refusedFrom
    const available = this.end - position
    if (!window.ensure(position, Math.min(available, BATCH_HEADER_BYTES)))
      return this.#no('the file ends before its length')
    const headerProblem = headerFault(window.views.dv, window.at(position), available)
    if (headerProblem !== undefined) return this.#no(headerProblem)
    const bytes = batchByteLength(window.views.dv, window.at(position))
    // The header behind it comes along, for contradictedAt().
    if (!window.ensure(position, Math.min(available, bytes + BATCH_HEADER_BYTES)))
      return this.#no('the file ends before its length')
    const at = window.at(position)
    const checksumProblem = checksumFault(window.views, at)
    if (checksumProblem !== undefined) return this.#no(checksumProblem)
    const baseOffset = baseOffsetOf(window.views.dv, at)
    const offsetMax = this.dense ? expectedOffset : Math.max(expectedOffset, this.gapsBelow)
    if (baseOffset < expectedOffset || baseOffset > offsetMax) {
      this.#refusedFrom = baseOffset
      this.#refusedTo = nextOffsetOf(window.views.dv, at)
      return this.#no(
        `base offset is ${baseOffset}, expected ${offsetMax > expectedOffset ? 'at least ' : ''}${expectedOffset}`,
      )
    }
    const nextOffset = nextOffsetOf(window.views.dv, at)
    if (nextOffset > this.endOffset) {
      return this.#no(`it ends at offset ${nextOffset}, the segment behind it begins at ${this.endOffset}`)
    }
    batch.position = position
    batch.byteLength = bytes
    batch.baseOffset = baseOffset
    batch.lastOffset = nextOffset - 1
    return true
  }

  /**
   * After `check` has found a batch: -1, or where to look on from if the whole batch behind it claims other offsets than this one leaves and neither
   * the batch behind that nor the limit speaks against it. A batch that reaches beyond the limit, or has not the records that it counts, is
   * refuted by itself, and the one behind it may well be sound. Else one of the two stands where another is missing, with a base offset
   * that is not its own, and nothing says which: neither is to be believed.
   */
  contradictedAt(limitOffset: number): number {
    const { window, batch } = this
    const next = batch.position + batch.byteLength
    if (!this.dense || next + BATCH_HEADER_BYTES > this.end || !window.holds(next, BATCH_HEADER_BYTES)) return -1
    const nextOffset = batch.lastOffset + 1
    const claimed = baseOffsetOf(window.views.dv, window.at(next))
    if (claimed === nextOffset || claimed < batch.baseOffset || claimed >= limitOffset) return -1
    if (claimed === batch.baseOffset && this.#isRepeated(next)) return -1
    const isOther = this.#isWhole(next) && !this.#isRefuted(next, limitOffset) && this.#isFull(next)
    // The look at the neighbours may have moved the window away.
    window.ensure(batch.position, batch.byteLength)
    if (!isOther) return -1
    this.fault = `it ends at offset ${nextOffset}, the batch behind it begins at ${claimed}`
    if (nextOffset <= limitOffset && this.#isFull(batch.position)) return next + 1
    return next
  }

  /** Whether the batch at `next` begins as the one before it does, checksum included. */
  #isRepeated(next: number): boolean {
    const { window, batch } = this
    const at = window.at(batch.position)
    const other = window.at(next)
    for (let i = 0; i < BATCH_HEADER_BYTES; i++)
      if (window.views.u8[at + i] !== window.views.u8[other + i]) return false
    return true
  }

  #isWhole(position: number): boolean {
    const { window } = this
    if (!window.ensure(position, Math.min(this.end - position, BATCH_HEADER_BYTES))) return false
    if (headerFault(window.views.dv, window.at(position), this.end - position) !== undefined) return false
    if (!window.ensure(position, batchByteLength(window.views.dv, window.at(position)))) return false
    return checksumFault(window.views, window.at(position)) === undefined
  }

  /** A whole batch of a log without gaps that has a record for each of its offsets, as its header says. */
  #isFull(position: number): boolean {
    const { window } = this
    if (!window.ensure(position, BATCH_HEADER_BYTES)) return false
    if (!window.ensure(position, batchByteLength(window.views.dv, window.at(position)))) return false
    const at = window.at(position)
    const { dv } = window.views
    if (batchRecordCount(dv, at) !== nextOffsetOf(dv, at) - baseOffsetOf(dv, at)) return false
    this.#content ??= new BatchContent()
    return this.#content.fault(window.views, at, 'the log') === undefined
  }

  /** The same where it is not known which offset to expect. */
  isBatchAt(position: number): boolean {
    const { window } = this
    if (!window.ensure(position, Math.min(this.end - position, BATCH_HEADER_BYTES))) return false
    if (headerFault(window.views.dv, window.at(position), this.end - position) !== undefined) return false
    return this.check(position, baseOffsetOf(window.views.dv, window.at(position)))
  }

  /** The next whole batch at or after `from` whose base offset is believable, at least `minOffset` and below `limitOffset`. */
  resync(from: number, minOffset: number, limitOffset: number): Resync | undefined {
    const { window } = this
    /** What whole batches claimed that were not believed: two claims to the same offset contradict each other, and nothing says which is false. */
    const claimed: { readonly from: number; readonly to: number }[] = []
    /** Where the last of these ends, in the file and in the log. */
    let endPosition = -1
    let endOffset = -1
    for (let position = from; position + BATCH_HEADER_BYTES <= this.end; position++) {
      if (!window.ensure(position, BATCH_HEADER_BYTES)) return undefined
      const at = window.at(position)
      const dv = window.views.dv
      if (headerFault(dv, at, this.end - position) !== undefined) continue
      const baseOffset = baseOffsetOf(dv, at)
      if (baseOffset < minOffset || baseOffset >= limitOffset) continue
      if (!window.ensure(position, batchByteLength(dv, at))) continue
      if (checksumFault(window.views, window.at(position)) !== undefined) continue
      if (!this.dense) return { position, baseOffset }
      const nextOffset = nextOffsetOf(window.views.dv, window.at(position))
      const isDisputed =
        claimed.some(({ from, to }) => baseOffset < to && nextOffset > from) ||
        this.#isRefusedClaim(baseOffset, nextOffset, minOffset - 1)
      // Right behind a whole batch that claims to be followed by another it takes a batch to speak for it, the limit alone is not enough.
      const isAsExpected = position !== endPosition || baseOffset === endOffset
      if (!isDisputed && this.#isConfirmed(position, limitOffset, isAsExpected)) return { position, baseOffset }
      claimed.push({ from: baseOffset, to: nextOffset })
      endPosition = position + batchByteLength(window.views.dv, window.at(position))
      endOffset = nextOffset
    }
    return undefined
  }

  /**
   * Whether the batch that `check` refused claims some of these offsets too. Where it has just as many as are missing before them, it is the missing
   * batch with another base offset, and says nothing against the one that follows.
   */
  #isRefusedClaim(baseOffset: number, nextOffset: number, expectedOffset: number): boolean {
    const from = this.#refusedFrom
    const to = this.#refusedTo
    return baseOffset < to && nextOffset > from && to - from !== baseOffset - expectedOffset
  }

  /**
   * Behind damage nothing says which offset to expect, and the checksum does not cover what a batch claims: it is believed where the batch
   * behind it goes on from there, or where it is the last one and ends at the limit (`byLimit`).
   */
  #isConfirmed(position: number, limitOffset: number, byLimit: boolean): boolean {
    const { window } = this
    const at = window.at(position)
    const nextOffset = nextOffsetOf(window.views.dv, at)
    const next = position + batchByteLength(window.views.dv, at)
    if (next >= this.end) return byLimit && (limitOffset === Number.MAX_SAFE_INTEGER || nextOffset === limitOffset)
    if (!window.ensure(next, Math.min(this.end - next, BATCH_HEADER_BYTES))) return false
    if (headerFault(window.views.dv, window.at(next), this.end - next) !== undefined) return false
    return baseOffsetOf(window.views.dv, window.at(next)) === nextOffset
  }

  /** Whether the batch behind a whole one, or the limit where that is the last one, says otherwise than it. */
  #isRefuted(position: number, limitOffset: number): boolean {
    const { window } = this
    const at = window.at(position)
    const nextOffset = nextOffsetOf(window.views.dv, at)
    const next = position + batchByteLength(window.views.dv, at)
    if (next >= this.end) return limitOffset !== Number.MAX_SAFE_INTEGER && nextOffset !== limitOffset
    if (!window.ensure(next, Math.min(this.end - next, BATCH_HEADER_BYTES))) return false
    if (headerFault(window.views.dv, window.at(next), this.end - next) !== undefined) return false
    return baseOffsetOf(window.views.dv, window.at(next)) !== nextOffset
  }

  #no(fault: string): false {
    this.fault = fault
    return false
  }
}
