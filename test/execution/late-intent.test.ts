import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DataFrame, Millrace } from 'millrace'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { EpochLog, RecordType } from '../../src/checkpoint/epoch-log.js'
import { nodeEnv } from '../../src/common/env.js'

let dir: string
let mill: Millrace
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-intent-'))
  mill = await Millrace.open({ dir, workers: 1 })
  await mill.topics.create('texts')
  await mill.topics.create('numbers')
  await mill.producer().send({ topic: 'texts', messages: [{ value: '1' }, { value: 'one' }] })
})
afterAll(async () => {
  await mill.close()
  rmSync(dir, { recursive: true, force: true })
})

/** Fails in its first epoch, at the second record. */
const numbers = (): DataFrame =>
  mill.readStream
    .format('log')
    .option('subscribe', 'texts')
    .option('startingOffsets', 'earliest')
    .load()
    .selectExpr('CAST(CAST(CAST(value AS STRING) AS INT) AS STRING) AS value')

const recordsOf = (checkpoint: string): readonly number[] => {
  const { log, records } = EpochLog.open(nodeEnv, checkpoint)
  log.close()
  return records.map(({ type }) => type)
}

test.each([
  ['noop', []],
  ['foreachBatch', []],
  ['log', []],
  ['foreach', [RecordType.intent]],
] as const)(
  'an epoch that fails before its commit has an intent only where the sink has seen rows of it: %s',
  async (sink, expected) => {
    const checkpoint = join(dir, 'checkpoints', sink)
    const writer = numbers().writeStream.option('checkpointLocation', checkpoint).onError({ then: 'fail' })
    const query =
      sink === 'foreachBatch'
        ? await writer.foreachBatch(() => undefined).start()
        : sink === 'foreach'
          ? await writer.foreach(() => undefined).start()
          : await (sink === 'log' ? writer.format('log').option('topic', 'numbers') : writer.format('noop')).start()
    await expect(query.awaitTermination()).rejects.toMatchObject({ code: 'CAST_INVALID_INPUT' })
    expect(recordsOf(checkpoint).filter((type) => type !== RecordType.start)).toStrictEqual(expected)
  },
)

test.skipIf(!existsSync('/proc/self/fd'))('a start that its checkpoint refuses leaves no file open', async () => {
  const checkpoint = join(dir, 'checkpoints', 'owned')
  const values = mill.readStream.format('log').option('subscribe', 'numbers').load()
  const first = await values
    .groupBy('key')
    .count()
    .writeStream.outputMode('update')
    .option('checkpointLocation', checkpoint)
    .format('noop')
    .start()
  const openFiles = (): number =>
    readdirSync('/proc/self/fd').filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(checkpoint)
      } catch {
        return false
      }
    }).length
  expect(openFiles()).toBe(1)
  await first.stop()
  expect(openFiles()).toBe(0)
  const other = values
    .groupBy('value')
    .count()
    .writeStream.outputMode('update')
    .option('checkpointLocation', checkpoint)
    .format('noop')
  await expect(other.start()).rejects.toMatchObject({ code: 'CHECKPOINT_STATE_MISMATCH' })
  expect(openFiles()).toBe(0)
})
