import type { Env, FileSystem } from '../common/env.js'
import { BatchScan } from './batch-scan.js'
import { FileWindow } from './file-window.js'
import { PartitionProducers } from './partition-producers.js'
import { decodeProducerSnapshot } from './producer-snapshot.js'
import { ProducerStates } from './producer-state.js'
import { listSnapshots, segmentAt, segmentPath } from './segment-files.js'

/**
 * The state of a partition's producers when it is opened: the newest snapshot that is whole, and the batches behind it. Where there is
 * no snapshot all segments are walked, which costs time and nothing else.
 */
export interface ProducerRecoveryOptions {
  readonly env: Env
  readonly directory: string
  readonly dense: boolean
}

/** After a clean stop there is a snapshot at the log end offset, unless no producer was ever known. */
export function producersAfterStop(
  options: ProducerRecoveryOptions,
  bases: readonly number[],
  sizes: readonly number[],
  end: { readonly logEndOffset: number; readonly hasProducers?: boolean },
): PartitionProducers {
  if (end.hasProducers === true) return producersUpTo(options, bases, sizes, end.logEndOffset)
  return new PartitionProducers(options.env.fs, options.directory, undefined, end.logEndOffset)
}

/** As of `offset`, a segment's base or the log end. */
export function producersUpTo(
  options: ProducerRecoveryOptions,
  bases: readonly number[],
  sizes: readonly number[],
  offset: number,
): PartitionProducers {
  const { env, directory, dense } = options
  // An index may have been written just before the batches that it speaks of were not.
  for (const name of env.fs.list(directory)) {
    if (name.endsWith('.txnindex') && Number.parseInt(name, 10) >= offset) env.fs.remove(`${directory}/${name}`)
  }
  const producers = loadSnapshot(env.fs, directory, offset, bases[0] ?? 0)
  for (let i = Math.max(0, segmentAt(bases, producers.end)); i < bases.length; i++) {
    const baseOffset = bases[i] as number
    if (baseOffset >= offset || producers.end >= offset) break
    // Where a snapshot lies in the middle of a segment the index has what was before it, and keeps it.
    producers.keepsIndex = producers.end <= baseOffset
    if (producers.keepsIndex) producers.beginScan(baseOffset)
    const handle = env.fs.open(segmentPath(directory, baseOffset, 'log'), 'read')
    try {
      walk(new BatchScan(new FileWindow(handle), sizes[i] as number, dense), baseOffset, offset, producers)
    } finally {
      handle.close()
    }
  }
  producers.keepsIndex = true
  return producers
}

function walk(scan: BatchScan, baseOffset: number, limitOffset: number, producers: PartitionProducers): void {
  for (let position = 0, next = baseOffset; position < scan.end; ) {
    const resumeAt = scan.check(position, next) ? scan.contradictedAt(limitOffset) : position + 1
    if (resumeAt === -1) {
      producers.note(scan.window.views, scan.window.at(position), baseOffset)
      position += scan.batch.byteLength
      next = scan.batch.lastOffset + 1
      continue
    }
    // What is damaged says nothing of its producers; who reads it hears of that.
    const resync = scan.resync(resumeAt, next + 1, limitOffset)
    if (resync === undefined) return
    position = resync.position
    next = resync.baseOffset
  }
}

/**
 * The newest whole snapshot at or below `offset`, and where it stands; an empty state at `floor` where there is none. What lies above is
 * removed: after a crash it may speak of records that are gone.
 */
function loadSnapshot(fs: FileSystem, directory: string, offset: number, floor: number): PartitionProducers {
  const snapshots = listSnapshots(fs, directory)
  for (let i = snapshots.length - 1; i >= 0; i--) {
    const at = snapshots[i] as number
    const path = segmentPath(directory, at, 'snapshot')
    if (at > offset) {
      fs.remove(path)
      continue
    }
    if (at < floor) break
    try {
      const states = ProducerStates.fromSnapshot(decodeProducerSnapshot(fs.readFile(path), path))
      return new PartitionProducers(fs, directory, states, at)
    } catch {
      fs.remove(path)
    }
  }
  return new PartitionProducers(fs, directory, undefined, floor)
}
