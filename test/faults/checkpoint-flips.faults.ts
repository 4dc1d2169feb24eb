import { describe, expect, it } from 'vitest'
import { EpochLog, type EpochRecord, jsonPayload, RecordType } from '../../src/checkpoint/epoch-log.js'
import { envOf, MemoryFileSystem } from '../log/memory-file-system.js'
import { below, type Experiment, experiment } from './report.js'

/**
 * F3 for checkpoints. Whatever bit of one is flipped, a query that opens it gets either a refusal, with the file as it is, or the records
 * as they were written up to some point; and nothing is cut on which a sink has relied.
 */
const PATH = '/cp/epochs.log'
const HEADER = 24

interface Checkpoint {
  readonly content: Uint8Array
  readonly records: readonly EpochRecord[]
  /** Where each record ends in the file. */
  readonly ends: readonly number[]
  /** How many records a delivery has relied on: all up to the commit of the last epoch that was delivered. */
  readonly relied: number
}

/** A query of some epochs, whose last one is committed but not delivered, and one that has just begun. */
function checkpointOf(bytes: number, random: () => number, snapshot: boolean): Checkpoint {
  const records: EpochRecord[] = []
  const ends: number[] = []
  let end = 8
  let relied = 0
  const add = (type: RecordType, epoch: number, payload: Uint8Array): void => {
    records.push({ type, epoch, payload })
    end += HEADER + ((payload.length + 7) & ~7)
    ends.push(end)
  }
  const noise = (length: number): Uint8Array => Uint8Array.from({ length }, () => below(random, 256))
  add(RecordType.start, 0, jsonPayload({ queryId: 'q', plan: 'windowed count' }))
  let epoch = 0
  if (snapshot) {
    add(RecordType.intent, 0, jsonPayload({ ends: [0, 0] }))
    for (let s = below(random, 3); s >= 0; s--) add(RecordType.snapshot, 0, noise(8 * below(random, 400)))
    add(RecordType.commit, 0, jsonPayload({ offsets: [0], watermark: 0 }))
    epoch = 1
  }
  const together = records.length
  const last = (): boolean => end > bytes - 4096
  for (; !last(); epoch++) {
    add(RecordType.intent, epoch, jsonPayload({ ends: [epoch * 100, epoch * 90] }))
    for (let d = below(random, 3); d >= 0; d--) add(RecordType.delta, epoch, noise(8 * below(random, 200)))
    add(RecordType.commit, epoch, jsonPayload({ offsets: [epoch * 100], watermark: epoch }))
    relied = records.length
    add(RecordType.delivered, epoch, jsonPayload({}))
  }
  add(RecordType.intent, epoch, jsonPayload({ ends: [epoch * 100] }))
  add(RecordType.commit, epoch, jsonPayload({ offsets: [epoch * 100], watermark: epoch }))
  add(RecordType.intent, epoch + 1, jsonPayload({ ends: [epoch * 100 + 50] }))
  if (bytes - end > HEADER) add(RecordType.delta, epoch + 1, noise((bytes - end - HEADER) & ~7))
  const fs = new MemoryFileSystem()
  const { log } = EpochLog.open(envOf(fs), '/cp')
  if (snapshot) {
    log.rewrite(records.slice(0, together))
    relied = Math.max(relied, together)
  }
  for (const record of records.slice(snapshot ? together : 0)) log.append(record.type, record.epoch, record.payload)
  log.write()
  log.close()
  const content = fs.readFile(PATH)
  expect(content.length).toBe(end)
  return { content, records, ends, relied }
}

/** The same object for every flip: half a million file systems would measure the collector. */
function openChanged(fs: MemoryFileSystem, content: Uint8Array): readonly EpochRecord[] | string {
  fs.replaceFile(PATH, content)
  try {
    const { log, records } = EpochLog.open(envOf(fs), '/cp')
    log.close()
    return records
  } catch (error) {
    const { code } = error as { code?: unknown }
    if (code !== 'CHECKPOINT_CORRUPT') throw error
    return code
  }
}

function sameRecord(a: EpochRecord, b: EpochRecord): boolean {
  return (
    a.type === b.type &&
    a.epoch === b.epoch &&
    Buffer.compare(a.payload.subarray(0, b.payload.length), b.payload) === 0 &&
    a.payload.subarray(b.payload.length).every((byte) => byte === 0)
  )
}

/** `at`: the byte that was changed. Throws where the checkpoint was believed and should not have been. */
function judge(checkpoint: Checkpoint, fs: MemoryFileSystem, changed: Uint8Array, at: number, run: Experiment): void {
  const found = openChanged(fs, changed)
  run.count('flips')
  if (typeof found === 'string') {
    run.count('refused')
    if (Buffer.compare(fs.readFile(PATH), changed) !== 0)
      throw new Error(`byte ${at}: refused, but the file was changed`)
    return
  }
  const hit = checkpoint.ends.findIndex((end) => at < end)
  run.count('cut where nobody had relied on it')
  if (found.length > hit) throw new Error(`byte ${at}: record ${hit} was taken although it was changed`)
  if (found.length < hit) throw new Error(`byte ${at}: ${found.length} records are left, ${hit} are whole`)
  if (found.length < checkpoint.relied) {
    throw new Error(`byte ${at}: ${found.length} records are left, a delivery relies on ${checkpoint.relied}`)
  }
  for (let i = 0; i < found.length; i++) {
    if (!sameRecord(found[i] as EpochRecord, checkpoint.records[i] as EpochRecord))
      throw new Error(`byte ${at}: record ${i} is not what was written`)
  }
}

describe('F3: a flipped bit in a checkpoint', () => {
  it('every single bit of 64 KiB: refused, or cut where no delivery relied on it; never believed', () => {
    const run = experiment('F3 checkpoint, every bit of 64 KiB')
    const checkpoint = checkpointOf(65_536, run.random, false)
    const fs = new MemoryFileSystem()
    const changed = Uint8Array.from(checkpoint.content)
    for (let at = 0; at < changed.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        changed[at] = (changed[at] as number) ^ (1 << bit)
        judge(checkpoint, fs, changed, at, run)
        changed[at] = (changed[at] as number) ^ (1 << bit)
      }
    }
    run.print()
    expect(run.counts()['flips']).toBe(65_536 * 8)
    expect(run.counts()['refused']).toBeGreaterThan(0)
  })

  it('100 000 random flips of one to eight bits in larger ones, with a snapshot', () => {
    const run = experiment('F3 checkpoint, 100 000 random flips')
    for (let round = 0; round < 10; round++) {
      const checkpoint = checkpointOf(200_000, run.random, true)
      const fs = new MemoryFileSystem()
      for (let i = 0; i < 10_000; i++) {
        const at = below(run.random, checkpoint.content.length)
        const changed = Uint8Array.from(checkpoint.content)
        changed[at] = (changed[at] as number) ^ (1 + below(run.random, 255))
        judge(checkpoint, fs, changed, at, run)
      }
    }
    run.print()
    expect(run.counts()['flips']).toBe(100_000)
  })
})
