import { expect, it } from 'vitest'
import { openLog, RowsAppender, readerOf, readValues } from '../log/log-fixture.js'
import { envOf, MemoryFileSystem } from '../log/memory-file-system.js'
import { experiment } from './report.js'

/**
 * F3 for the small files: whatever single bit of a topic's description, of the recovery points, of the mark of a clean stop or of the directory's
 * version is flipped, opening refuses the file by its name, or says that it does not believe it and has every record; or the bit meant nothing.
 */
const DIR = '/d'
const files = ['topics/t.json', 'log/recovery-points.json', 'log/clean-shutdown.json', 'format.json'] as const
const VALUES = Array.from({ length: 12 }, (_, i) => `value ${i}`)
const DELETED = 3

async function written(clean: boolean): Promise<MemoryFileSystem> {
  const fs = new MemoryFileSystem()
  const log = await openLog({ dir: DIR, env: envOf(fs) })
  const topic = log.engine.createTopic({ name: 't', config: { 'retention.ms': -1 } })
  const appender = new RowsAppender(topic, log.memory)
  for (const value of VALUES) {
    appender.append([value], 1000)
    await log.engine.syncUpTo([{ topic: 't', partition: 0, offset: Number(value.slice(6)) + 1 }])
  }
  await log.engine.deleteRecords('t', 0, DELETED)
  await log.close()
  if (!clean) fs.remove(`${DIR}/log/clean-shutdown.json`)
  return fs
}

async function opened(fs: MemoryFileSystem): Promise<{ faults: string[]; values: string[]; damaged: number }> {
  const env = envOf(fs)
  const log = await openLog({ dir: DIR, env, memoryBudget: 8 * 1024 * 1024 })
  try {
    const [state] = log.engine.state('t').partitions
    const reader = readerOf(log.engine.describe('t'), log.memory, 0, { env })
    const values = readValues(reader, state?.logStartOffset ?? 0)
    reader.close()
    return { faults: log.engine.markFaults.map((fault) => fault.summary), values, damaged: state?.damaged.length ?? 0 }
  } finally {
    await log.close()
  }
}

it.each(files)('every bit of %s', async (file) => {
  const run = experiment(`every bit of ${file} flipped`)
  const path = `${DIR}/${file}`
  const original = await written(file === 'log/clean-shutdown.json')
  const content = new Map([...original.files.keys()].map((name) => [name, Uint8Array.from(original.readFile(name))]))
  const whole = content.get(path) as Uint8Array
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const fs = new MemoryFileSystem()
    for (const [name, bytes] of content) fs.replaceFile(name, bytes)
    const bytes = whole.slice()
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
    fs.replaceFile(path, bytes)
    run.count('flips')
    try {
      const { faults, values, damaged } = await opened(fs)
      expect(damaged).toBe(0)
      // Without the log start offset what was deleted is seen again, as long as its segment is there.
      expect(values.slice(-VALUES.length + DELETED)).toEqual(VALUES.slice(DELETED))
      if (faults.length === 0) {
        expect(values.length).toBe(VALUES.length - DELETED)
        run.count('that meant nothing')
      } else {
        expect(faults).toEqual([`${path} is not believed`])
        run.count('said, and nothing lost')
      }
    } catch (error) {
      expect(error).toMatchObject({ code: expect.stringMatching(/^(TOPIC_FILE_CORRUPT|FORMAT_UNREADABLE)$/) })
      expect(String(error)).toContain(path)
      run.count('refused by name')
    }
  }
  run.print()
  expect(run.counts()['that meant nothing'] ?? 0).toBeLessThan(40)
})
