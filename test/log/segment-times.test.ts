import { beforeEach, describe, expect, it } from 'vitest'
import { segmentPath } from '../../src/log/segment-files.js'
import { maxTimestampOf } from '../../src/log/segment-times.js'
import { openLog, RowsAppender } from './log-fixture.js'
import { envOf, MemoryFileSystem } from './memory-file-system.js'

const DIRECTORY = '/d/log/t-0'
const times = segmentPath(DIRECTORY, 0, 'timeindex')
const LAST = 5000

let fs: MemoryFileSystem

/** One segment whose greatest time is in its last batch but one, after a clean stop. */
beforeEach(async () => {
  fs = new MemoryFileSystem()
  const log = await openLog({ dir: '/d', env: envOf(fs), memoryBudget: 8 * 1024 * 1024 })
  const config = {
    'index.interval.bytes': 0,
    'retention.ms': -1,
    'message.timestamp.before.max.ms': Number.MAX_SAFE_INTEGER,
  }
  const topic = log.engine.createTopic({ name: 't', config })
  const appender = new RowsAppender(topic, log.memory)
  for (const time of [1000, 2000, 3000, LAST, 4000]) {
    appender.append([`at ${time}`], time)
    log.engine.wake()
  }
  await log.close()
})

const size = (): number => fs.readFile(segmentPath(DIRECTORY, 0, 'log')).length
const found = (): number => maxTimestampOf(envOf(fs), DIRECTORY, 0, size())

describe('the age of a segment', () => {
  it('is the last entry of its time index', () => {
    const index = fs.readFile(times)
    expect(Buffer.from(index).readBigInt64BE(index.length - 12)).toBe(BigInt(LAST))
    expect(found()).toBe(LAST)
  })

  it.each([
    ['zeros', () => new Uint8Array(12)],
    ['zeros in the place of the last entry', (index: Uint8Array) => index.fill(0, index.length - 12)],
    ['nothing', () => new Uint8Array(0)],
    ['a piece of an entry', (index: Uint8Array) => index.slice(0, index.length - 5)],
    ['noise', (index: Uint8Array) => index.fill(0x5a)],
  ])('is that of its batches where the time index holds %s', (_, change) => {
    fs.replaceFile(times, change(Uint8Array.from(fs.readFile(times))))
    expect(found()).toBe(LAST)
  })

  it('is right whatever bit of the last entry is flipped', () => {
    const whole = Uint8Array.from(fs.readFile(times))
    for (let bit = (whole.length - 12) * 8; bit < whole.length * 8; bit++) {
      const index = whole.slice()
      index[bit >> 3] = (index[bit >> 3] as number) ^ (1 << (bit & 7))
      fs.replaceFile(times, index)
      expect(found()).toBe(LAST)
    }
  })

  it('is what the last life knew, where the power has taken the end of the index', async () => {
    const whole = Uint8Array.from(fs.readFile(times))
    for (const left of [0, 12, 24]) {
      const again = new MemoryFileSystem()
      for (const name of fs.files.keys()) again.replaceFile(name, fs.readFile(name))
      again.replaceFile(times, whole.slice(0, left))
      const log = await openLog({ dir: '/d', env: envOf(again), memoryBudget: 8 * 1024 * 1024 })
      await log.close()
      expect(maxTimestampOf(envOf(again), DIRECTORY, 0, size())).toBe(LAST)
    }
  })
})
