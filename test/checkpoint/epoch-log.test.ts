import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EpochLog, type EpochRecord, jsonPayload, RecordType, recordJson } from '../../src/checkpoint/epoch-log.js'
import { envOf, MemoryFileSystem } from '../log/memory-file-system.js'

const PATH = '/cp/epochs.log'

function open(fs: MemoryFileSystem): { log: EpochLog; records: readonly EpochRecord[] } {
  return EpochLog.open(envOf(fs), '/cp')
}

function fileOf(records: readonly EpochRecord[]): Uint8Array {
  const fs = new MemoryFileSystem()
  const { log } = open(fs)
  for (const { type, epoch, payload } of records) log.append(type, epoch, payload)
  log.write()
  log.close()
  return fs.readFile(PATH)
}

function reopened(content: Uint8Array): { records: readonly EpochRecord[]; fs: MemoryFileSystem; log: EpochLog } {
  const fs = new MemoryFileSystem()
  fs.makeDirectory('/cp')
  fs.replaceFile(PATH, content)
  return { fs, ...open(fs) }
}

const plain = (records: readonly EpochRecord[]): unknown[] =>
  records.map(({ type, epoch, payload }) => [type, epoch, Buffer.from(payload).toString('hex')])

/** Two epochs, the second not committed. */
const history: readonly EpochRecord[] = [
  { type: RecordType.start, epoch: 0, payload: jsonPayload({ queryId: 'q' }) },
  { type: RecordType.intent, epoch: 0, payload: jsonPayload({ ends: [1, 2] }) },
  { type: RecordType.delta, epoch: 0, payload: new Uint8Array(24).fill(7) },
  { type: RecordType.commit, epoch: 0, payload: jsonPayload({ ok: true }) },
  { type: RecordType.intent, epoch: 1, payload: jsonPayload({ ends: [5, 5] }) },
  { type: RecordType.delta, epoch: 1, payload: new Uint8Array(0) },
]

describe('an epoch log', () => {
  it('gives back what was written, in its order, padded to 8 bytes', () => {
    const { records } = reopened(fileOf(history))
    expect(records.map((r) => [r.type, r.epoch])).toEqual(history.map((r) => [r.type, r.epoch]))
    expect(recordJson(records[0] as EpochRecord)).toEqual({ queryId: 'q' })
    expect(records[2]?.payload).toEqual(history[2]?.payload)
    expect(records.every((r) => r.payload.length % 8 === 0)).toBe(true)
  })

  it('cut at any byte gives the longest run of whole records, and goes on behind it', () => {
    const content = fileOf(history)
    const ends = recordEnds(content)
    for (let bytes = 8; bytes <= content.length; bytes++) {
      const { records, log, fs } = reopened(content.slice(0, bytes))
      const whole = ends.filter((end) => end <= bytes).length
      expect(records.length).toBe(whole)
      log.append(RecordType.commit, 9, { after: true })
      log.write()
      log.close()
      const again = reopened(fs.readFile(PATH)).records
      expect(again.length).toBe(whole + 1)
      expect(recordJson(again.at(-1) as EpochRecord)).toEqual({ after: true })
    }
  })

  it('with garbage at its tail gives what stands before it', () => {
    const content = fileOf(history)
    const expected = plain(reopened(content).records)
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.boolean(), (garbage, zeros) => {
        const tail = zeros ? new Uint8Array(garbage.length) : garbage
        expect(plain(reopened(Buffer.concat([content, tail])).records)).toEqual(expected)
      }),
    )
  })

  it('takes no record whose bytes have changed', () => {
    const content = fileOf(history)
    const ends = recordEnds(content)
    const last = ends.at(-2) as number
    for (let at = last; at < content.length; at++) {
      const changed = Uint8Array.from(content)
      changed[at] = (changed[at] as number) ^ 0x10
      expect(reopened(changed).records.length).toBe(history.length - 1)
    }
  })

  it('is refused where the commit of an epoch that was delivered has changed, and nothing is cut', () => {
    const delivered = [...history, { type: RecordType.commit, epoch: 1, payload: jsonPayload({}) }]
    const content = fileOf([...delivered, { type: RecordType.delivered, epoch: 1, payload: jsonPayload({}) }])
    const ends = recordEnds(content)
    for (let at = ends.at(-3) as number; at < (ends.at(-2) as number); at++) {
      const changed = Uint8Array.from(content)
      changed[at] = (changed[at] as number) ^ 0x10
      const fs = new MemoryFileSystem()
      fs.replaceFile(PATH, changed)
      expect(() => open(fs)).toThrow(/is corrupt at byte/)
      expect(fs.readFile(PATH)).toEqual(changed)
    }
  })

  it('that was replaced as a whole is refused where anything up to its commit has changed', () => {
    const snapshot = { type: RecordType.snapshot, epoch: 4, payload: new Uint8Array(40).fill(9) }
    const fs = new MemoryFileSystem()
    const { log } = open(fs)
    log.rewrite([
      { type: RecordType.start, epoch: 0, payload: jsonPayload({ queryId: 'q' }) },
      { type: RecordType.intent, epoch: 4, payload: jsonPayload({ ends: [1, 2] }) },
      snapshot,
      { type: RecordType.output, epoch: 4, payload: new Uint8Array(16) },
      { type: RecordType.commit, epoch: 4, payload: jsonPayload({ ok: true }) },
    ])
    const content = fs.readFile(PATH)
    for (let at = 8; at < content.length; at++) {
      const changed = Uint8Array.from(content)
      changed[at] = (changed[at] as number) ^ 0x04
      expect(() => reopened(changed)).toThrow(/is corrupt at byte/)
    }
  })

  it('is refused where it is none of ours, and nothing is done to the file', () => {
    for (const text of ['', 'MRCKPT', 'MRCKPT99 from the future', 'some notes of mine']) {
      const fs = new MemoryFileSystem()
      fs.makeDirectory('/cp')
      fs.replaceFile(PATH, text)
      expect(() => open(fs)).toThrow(/is not a checkpoint of this version/)
      expect(Buffer.from(fs.readFile(PATH)).toString()).toBe(text)
    }
  })

  it('has nothing on the disk before sync, and all of it after', async () => {
    const fs = new MemoryFileSystem()
    const { log } = open(fs)
    log.append(RecordType.start, 0, {})
    expect(open(fs.afterPowerLoss()).records).toEqual([])
    log.write()
    expect(open(fs.afterPowerLoss()).records).toEqual([])
    await log.sync()
    expect(open(fs.afterPowerLoss()).records.length).toBe(1)
  })

  it('is replaced as a whole, and what was queued before goes with the past', async () => {
    const fs = new MemoryFileSystem()
    const { log } = open(fs)
    for (const { type, epoch, payload } of history) log.append(type, epoch, payload)
    await log.sync()
    const before = log.byteSize
    log.append(RecordType.delta, 1, new Uint8Array(80))
    log.rewrite(history.slice(0, 2))
    expect(log.byteSize).toBeLessThan(before)
    log.append(RecordType.commit, 3, {})
    await log.sync()
    expect(open(fs.afterPowerLoss()).records.map((r) => r.type)).toEqual([
      RecordType.start,
      RecordType.intent,
      RecordType.commit,
    ])
  })

  it('asks for a snapshot once the past outweighs the state', () => {
    const { log } = open(new MemoryFileSystem())
    expect(log.shouldCompact(0)).toBe(false)
    for (let i = 0; i < 17; i++) log.append(RecordType.delta, i, new Uint8Array(1 << 20))
    log.write()
    expect(log.shouldCompact(1 << 20)).toBe(true)
    expect(log.shouldCompact(8 << 20)).toBe(false)
  })
})

function recordEnds(content: Uint8Array): number[] {
  const view = new DataView(content.buffer, content.byteOffset)
  const ends: number[] = []
  for (let at = 8; at < content.length; ) {
    at += 24 + view.getUint32(at, true)
    ends.push(at)
  }
  return ends
}
