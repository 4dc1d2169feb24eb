import { appendFileSync, cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { crc32c } from '../../src/common/checksum.js'
import { type RecoveryOptions, recoverPartition } from '../../src/log/recovery.js'
import { ATTRIBUTES, CRC, LAST_OFFSET_DELTA, RECORD_COUNT } from '../../src/record/batch-header.js'
import { openLog, RowsAppender, readerOf, readValues, temporaryDirectory } from './log-fixture.js'
import { envOf, MemoryFileSystem } from './memory-file-system.js'

/** A directory as a clean stop left it: one partition, ten batches of three records, and where each batch ends. */
const directory = temporaryDirectory()
const original = `${directory.path}/original`
const log0 = '00000000000000000000.log'
const segment = `/p/${log0}`
const ends: number[] = [0]

beforeAll(async () => {
  const log = await openLog({ dir: original, fsync: 'group' })
  const topic = log.engine.createTopic({ name: 't' })
  const appender = new RowsAppender(topic, log.memory)
  for (let i = 0; i < 10; i++) {
    appender.append([`${i}a`, `${i}b`, `${i}c`], 1000 + i)
    await log.engine.syncUpTo([{ topic: 't', partition: 0, offset: 3 * i + 3 }])
    ends.push(statSync(`${original}/log/t-0/${log0}`).size)
  }
  await log.close()
  originalContent = readFileSync(`${original}/log/t-0/${log0}`)
})
afterAll(() => directory.remove())

/** A partition's directory with this segment in it, in memory: thousands of recoveries need no disk. */
function withSegment(content: Uint8Array): MemoryFileSystem {
  const fs = new MemoryFileSystem()
  fs.replaceFile(segment, content)
  return fs
}

function segmentOf(fs: MemoryFileSystem): Buffer {
  return Buffer.from(fs.readFile(segment))
}

let originalContent: Buffer

function options(fs: MemoryFileSystem, recoveryPoint: number): RecoveryOptions {
  return {
    env: envOf(fs),
    directory: '/p',
    recoveryPoint,
    logStartOffset: 0,
    dense: true,
    indexIntervalBytes: 0,
    cleanEnd: undefined,
  }
}

const wholeBatches = (bytes: number): number => ends.filter((end) => end <= bytes).length - 1

describe('recovery', () => {
  it('K-9: cuts a file torn at any byte behind its last whole batch', () => {
    const size = ends[10] as number
    for (let bytes = 0; bytes <= size; bytes++) {
      const fs = withSegment(originalContent.subarray(0, bytes))
      const recovered = recoverPartition(options(fs, 0))
      const batches = wholeBatches(bytes)
      expect(recovered.logEndOffset).toBe(batches * 3)
      expect(segmentOf(fs).length).toBe(ends[batches])
      expect(recovered.damaged).toEqual([])
      expect(recovered.cut === undefined).toBe(bytes === ends[batches])
      expect(recovered.mustRoll).toBe(false)
    }
  })

  it.each([
    ['zeros', () => Buffer.alloc(5000)],
    ['garbage', () => Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7919 + (i >> 3)) & 255))],
    ['a header without its records', () => originalContent.subarray(ends[3], (ends[3] as number) + 61)],
    ['an old batch again', () => originalContent.subarray(ends[3], ends[5])],
  ])('cuts a tail of %s', (_, tail) => {
    const fs = withSegment(Buffer.concat([originalContent, tail()]))
    const recovered = recoverPartition(options(fs, 30))
    expect(recovered).toMatchObject({ logEndOffset: 30, damaged: [], cut: { fromByte: ends[10] } })
    expect(segmentOf(fs).length).toBe(ends[10])
  })

  it('quarantines a bit flipped anywhere below the recovery point, and cuts nothing', () => {
    const content = originalContent
    for (let byte = 0; byte < content.length; byte += 1) {
      const flipped = Buffer.from(content)
      flipped[byte] = (flipped[byte] as number) ^ (1 << (byte % 8))
      const fs = withSegment(flipped)
      const recovered = recoverPartition(options(fs, 30))
      const batch = wholeBatches(byte)
      const isLeaderEpoch = byte - (ends[batch] as number) >= 12 && byte - (ends[batch] as number) < 16
      expect(recovered.logEndOffset).toBe(30)
      expect(recovered.cut).toBeUndefined()
      expect(segmentOf(fs).equals(flipped)).toBe(true)
      if (isLeaderEpoch) expect(recovered.damaged).toEqual([])
      else {
        expect(recovered.damaged).toMatchObject([
          { fromOffset: batch * 3, toOffset: batch * 3 + 3, fromByte: ends[batch], toByte: ends[batch + 1] },
        ])
        // Nothing may be appended behind bytes that make no sense.
        expect(recovered.mustRoll).toBe(batch === 9)
      }
    }
  })

  it.each([
    ['more offsets than there are', 0x3fffffff],
    ['the offsets of the one behind it', 5],
    ['fewer than it has records', 1],
  ])(
    'below the recovery point a batch that claims %s is damage by itself, and nothing is cut',
    (_, lastOffsetDelta) => {
      const content = Buffer.from(originalContent)
      const [from, to] = [ends[4] as number, ends[5] as number]
      content.writeInt32BE(lastOffsetDelta, from + LAST_OFFSET_DELTA)
      content.writeInt32BE(lastOffsetDelta + 1, from + RECORD_COUNT)
      content.writeUInt32BE(crc32c(content, from + ATTRIBUTES, to), from + CRC)
      const fs = withSegment(content)
      expect(recoverPartition(options(fs, 30))).toMatchObject({
        logEndOffset: 30,
        damaged: [{ fromOffset: 12, toOffset: 15, fromByte: from, toByte: to }],
        cut: undefined,
        mustRoll: false,
      })
      expect(segmentOf(fs).equals(content)).toBe(true)
    },
  )

  it("cuts above the recovery point even where whole batches follow: their order on the disk was nobody's promise", () => {
    const content = Buffer.from(originalContent)
    content.fill(0, ends[6], ends[7])
    const fs = withSegment(content)
    expect(recoverPartition(options(fs, 12))).toMatchObject({
      logEndOffset: 18,
      damaged: [],
      cut: { fromByte: ends[6] },
    })
    // Could also be damage to what was acknowledged since the last recovery point: the bytes are kept.
    expect(Buffer.from(fs.readFile(`${segment}.cut`)).equals(content.subarray(ends[6]))).toBe(true)
  })

  it('says so where synced offsets are gone from the end, and does not give them twice', () => {
    const fs = withSegment(originalContent.subarray(0, ends[8]))
    expect(recoverPartition(options(fs, 30))).toMatchObject({
      logEndOffset: 30,
      damaged: [{ fromOffset: 24, toOffset: 30 }],
      mustRoll: true,
    })
  })

  it('builds the indexes anew', () => {
    const fs = withSegment(originalContent)
    fs.replaceFile('/p/00000000000000000000.index', 'nonsense')
    fs.replaceFile('/p/00000000000000000000.timeindex', 'nonsense')
    recoverPartition(options(fs, 30))
    const index = Buffer.from(fs.readFile('/p/00000000000000000000.index'))
    expect(index.length).toBe(9 * 8)
    expect([index.readInt32BE(0), index.readInt32BE(4)]).toEqual([5, ends[1]])
    const times = Buffer.from(fs.readFile('/p/00000000000000000000.timeindex'))
    expect([Number(times.readBigInt64BE(0)), times.readInt32BE(8)]).toEqual([1001, 5])
  })
})

describe('a beginning that is missing', () => {
  const second = '/p/00000000000000000012.log'
  /** Batches 4 to 9 in a segment of their own; the first segment's name is gone. */
  const withoutFirst = (): MemoryFileSystem => {
    const fs = new MemoryFileSystem()
    fs.replaceFile(second, originalContent.subarray(ends[4]))
    return fs
  }

  it('that was never promised is a torn tail: what follows goes aside, and the log begins where it began', () => {
    const fs = withoutFirst()
    const recovered = recoverPartition({ ...options(fs, 0), trust: 'kept' })
    expect(recovered).toMatchObject({ segments: [], logStartOffset: 0, logEndOffset: 0, damaged: [] })
    expect(recovered.cut).toMatchObject({ file: second, reason: 'segment begins at offset 12, expected 0' })
    expect(fs.exists(second)).toBe(false)
    expect(Buffer.from(fs.readFile(`${second}.cut`)).equals(originalContent.subarray(ends[4]))).toBe(true)
  })

  it('below the recovery point is damage with its offsets; the rest is kept', () => {
    const fs = withoutFirst()
    expect(recoverPartition({ ...options(fs, 30), trust: 'kept' })).toMatchObject({
      segments: [{ baseOffset: 12 }],
      logStartOffset: 0,
      logEndOffset: 30,
      damaged: [{ fromOffset: 0, toOffset: 12, reason: 'the segment is missing' }],
      cut: undefined,
    })
  })

  it('is half of each where the recovery point lies in it', () => {
    const fs = withoutFirst()
    expect(recoverPartition({ ...options(fs, 6), trust: 'kept' })).toMatchObject({
      segments: [],
      logStartOffset: 0,
      logEndOffset: 6,
      damaged: [{ fromOffset: 0, toOffset: 6 }],
      cut: { file: second },
    })
  })

  it('is where the log begins now, if its start has moved, or if nobody knows', () => {
    const moved = recoverPartition({ ...options(withoutFirst(), 12), logStartOffset: 12, trust: 'kept' })
    expect(moved).toMatchObject({ logStartOffset: 12, logEndOffset: 30, damaged: [], cut: undefined })
    const unknown = recoverPartition({ ...options(withoutFirst(), 0), trust: 'lost' })
    expect(unknown).toMatchObject({ logStartOffset: 12, logEndOffset: 30, damaged: [], cut: undefined })
  })
})

describe('a log with gaps', () => {
  const gapped = (fs: MemoryFileSystem, recoveryPoint: number): RecoveryOptions => ({
    ...options(fs, recoveryPoint),
    dense: false,
    trust: 'kept',
  })
  /** Batch 5 is missing. */
  const withGap = (): MemoryFileSystem =>
    withSegment(Buffer.concat([originalContent.subarray(0, ends[5]), originalContent.subarray(ends[6])]))

  it('has them below its recovery point, where compaction has been', () => {
    const recovered = recoverPartition(gapped(withGap(), 30))
    expect(recovered).toMatchObject({ logEndOffset: 30, damaged: [], cut: undefined })
  })

  it('has none above it: there the power has taken what is missing, and what follows is torn', () => {
    expect(recoverPartition(gapped(withGap(), 9))).toMatchObject({
      logEndOffset: 15,
      damaged: [],
      cut: { fromByte: ends[5], reason: 'base offset is 18, expected 15' },
    })
  })

  it('has none between segments above it either', () => {
    const fs = withSegment(originalContent.subarray(0, ends[3]))
    const next = '/p/00000000000000000012.log'
    fs.replaceFile(next, '')
    expect(recoverPartition(gapped(fs, 3))).toMatchObject({ logEndOffset: 9, damaged: [], cut: { file: next } })
  })
})

describe('without a recovery point that holds', () => {
  it('damage that whole batches follow is kept as damage, and only the end is torn', () => {
    const content = Buffer.concat([originalContent, Buffer.from('torn')])
    content.fill(0, ends[6], ends[7])
    const fs = withSegment(content)
    expect(recoverPartition({ ...options(fs, 0), trust: 'lost' })).toMatchObject({
      logEndOffset: 30,
      damaged: [{ fromOffset: 18, toOffset: 21 }],
      cut: { fromByte: ends[10], bytes: 4 },
    })
  })
})

describe('opening again', () => {
  const damage = async (
    name: string,
    change: (file: string) => void,
    clean: boolean,
  ): Promise<Awaited<ReturnType<typeof openLog>>> => {
    const dir = `${directory.path}/${name}`
    cpSync(original, dir, { recursive: true })
    if (!clean) rmSync(`${dir}/log/clean-shutdown.json`)
    change(`${dir}/log/t-0/${log0}`)
    return openLog({ dir })
  }
  const flip = (at: number) => (file: string) => {
    const content = readFileSync(file)
    content[at] = (content[at] as number) ^ 16
    writeFileSync(file, content)
  }

  it('after a crash goes on where the log ends, and writes on', async () => {
    const log = await damage('crash', (file) => appendFileSync(file, 'torn'), false)
    expect(log.engine.findings).toMatchObject([{ topic: 't', partition: 0, cut: { bytes: 4 } }])
    const topic = log.engine.describe('t')
    expect(new RowsAppender(topic, log.memory).append(['new'])).toBe(30)
    expect(readValues(readerOf(topic, log.memory), 28)).toEqual(['9b', '9c', 'new'])
    await log.close()
    const again = await openLog({ dir: `${directory.path}/crash` })
    expect(again.engine.findings).toEqual([])
    expect(readValues(readerOf(again.engine.describe('t'), again.memory), 0).length).toBe(31)
    await again.close()
  })

  it.each([true, false])(
    'a read of a damaged range fails with its offsets, others do not, and it can be skipped (clean stop: %s)',
    async (clean) => {
      const log = await damage(`damaged-${clean}`, flip((ends[4] as number) + 70), clean)
      const topic = log.engine.describe('t')
      const reader = readerOf(topic, log.memory)
      expect(() => readValues(reader, 0)).toThrow(
        expect.objectContaining({
          code: 'SEGMENT_CORRUPT',
          summary: 'offsets 12 to 14 of t-0 are damaged',
          detail: expect.stringContaining('crc'),
        }),
      )
      expect(readValues(reader, 15).length).toBe(15)
      const skipping = readerOf(topic, log.memory, 0, { skipDamage: true })
      const values = readValues(skipping, 0)
      expect(values.length).toBe(27)
      expect(values).not.toContain('4a')
      expect(skipping.skipped).toBe(3)
      if (!clean) expect(log.engine.state('t').partitions[0]?.damaged).toMatchObject([{ fromOffset: 12, toOffset: 15 }])
      await log.close()
    },
  )

  it.each([true, false])(
    'a first segment that is gone is damage, and the rest is read (clean stop: %s)',
    async (clean) => {
      const dir = `${directory.path}/beginning-${clean}`
      const log = await openLog({ dir })
      const made = log.engine.createTopic({ name: 't', config: { 'segment.bytes': 1024 } })
      const appender = new RowsAppender(made, log.memory)
      for (let i = 0; i < 4; i++) {
        appender.append([`${i}a`.padEnd(400), `${i}b`.padEnd(400)])
        await log.engine.syncUpTo([{ topic: 't', partition: 0, offset: 2 * i + 2 }])
      }
      await log.close()
      rmSync(`${dir}/log/t-0/${log0}`)
      if (!clean) rmSync(`${dir}/log/clean-shutdown.json`)
      const again = await openLog({ dir })
      expect(again.engine.state('t').partitions[0]).toMatchObject({
        logStartOffset: 0,
        logEndOffset: 8,
        damaged: [{ fromOffset: 0, toOffset: 2, reason: 'the segment is missing' }],
      })
      const topic = again.engine.describe('t')
      expect(() => readValues(readerOf(topic, again.memory), 0)).toThrow(
        expect.objectContaining({ code: 'SEGMENT_CORRUPT', summary: 'offsets 0 to 1 of t-0 are damaged' }),
      )
      expect(readValues(readerOf(topic, again.memory), 2).map((value) => value.trim())).toEqual([
        '1a',
        '1b',
        '2a',
        '2b',
        '3a',
        '3b',
      ])
      const skipping = readerOf(topic, again.memory, 0, { skipDamage: true })
      expect(readValues(skipping, 0).length).toBe(6)
      expect(skipping.skipped).toBe(2)
      await again.close()
    },
  )

  it('damage at the end of the last segment is left alone: what comes next begins another', async () => {
    const log = await damage('end', flip((ends[9] as number) + 70), false)
    const topic = log.engine.describe('t')
    expect(new RowsAppender(topic, log.memory).append(['new'])).toBe(30)
    await log.close()
    expect(readdirSync(`${directory.path}/end/log/t-0`).filter((name) => name.endsWith('.log'))).toEqual([
      log0,
      '00000000000000000030.log',
    ])
    const again = await openLog({ dir: `${directory.path}/end` })
    const skipping = readerOf(again.engine.describe('t'), again.memory, 0, { skipDamage: true })
    expect(readValues(skipping, 24)).toEqual(['8a', '8b', '8c', 'new'])
    await again.close()
  })
})
