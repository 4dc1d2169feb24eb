import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { checkKafkaPartition } from '../golden/kafka-partition.js'
import { expectedRecords, kafkaCodecs, writeByKafka } from '../golden/kafka-segments.js'

/** The same as with the recorded segments of test/golden, by a broker of this day. */
const directory = mkdtempSync(join(tmpdir(), 'millrace-outside-'))
let partitions: ReadonlyMap<string, string>
beforeAll(async () => {
  partitions = await writeByKafka(directory)
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe.each(kafkaCodecs)('segments that a broker has just written with codec %s', (codec) => {
  test('are read, indexes and all', async () => {
    await checkKafkaPartition(partitions.get(codec) ?? '', expectedRecords())
  })
})
