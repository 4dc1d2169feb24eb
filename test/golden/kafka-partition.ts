import { readdirSync, readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { RecordDecoder } from '../../src/client/record-decoder.js'
import { OffsetIndex } from '../../src/log/offset-index.js'
import { decodeProducerSnapshot } from '../../src/log/producer-snapshot.js'
import { listSegments, listSnapshots, segmentPath } from '../../src/log/segment-files.js'
import { TimeIndex } from '../../src/log/time-index.js'
import { TransactionIndex } from '../../src/log/transaction-index.js'
import { PartitionReader } from '../../src/log/partition-reader.js'
import { openLog } from '../log/log-fixture.js'
import { envOf, MemoryFileSystem } from '../log/memory-file-system.js'
import type { ExpectedRecord } from './kafka-segments.js'

/** Opens the segment files of a partition that Kafka has written as a topic of ours, and holds everything in them against what was sent. */
export async function checkKafkaPartition(folder: string, expected: readonly ExpectedRecord[]): Promise<void> {
  const fs = new MemoryFileSystem()
  const env = envOf(fs)
  const created = await openLog({ dir: '/data', env })
  const directory = created.engine.createTopic({ name: 'kafka', config: { 'retention.ms': -1 } }).partitions[0]?.directory ?? ''
  await created.close()
  for (const name of readdirSync(folder)) if (/^\d{20}\./.test(name)) fs.replaceFile(`${directory}/${name}`, readFileSync(`${folder}/${name}`))
  checkIndexes(fs, directory)
  const log = await openLog({ dir: '/data', env })
  try {
    const topic = log.engine.describe('kafka')
    const [partition] = topic.partitions
    if (partition === undefined) throw new Error('the topic has no partition')
    for (const committed of [false, true]) {
      const reader = new PartitionReader({ partition, memory: log.memory, env, isolation: committed ? 'read_committed' : 'read_uncommitted' })
      const decoder = new RecordDecoder(topic)
      const found: Omit<ExpectedRecord, 'committed'>[] = []
      reader.seek(0)
      while (reader.next()) for (const message of decoder.decode(reader, 0)) found.push(plain(message))
      reader.close()
      const wanted = expected.filter((record) => !committed || record.committed)
      expect(found).toEqual(wanted.map(({ committed: _, ...record }) => record))
    }
  } finally {
    await log.close()
  }
}

/** The files beside the log, before anything of ours has rebuilt them. */
function checkIndexes(fs: MemoryFileSystem, directory: string): void {
  let entries = 0
  let transactions = 0
  for (const base of listSegments(fs, directory)) {
    const offsets = OffsetIndex.load(fs, segmentPath(directory, base, 'index'))
    const times = TimeIndex.load(fs, segmentPath(directory, base, 'timeindex'))
    const aborted = TransactionIndex.load(fs, segmentPath(directory, base, 'txnindex'))
    expect(offsets.fault(fs.readFile(segmentPath(directory, base, 'log')).length)).toBeUndefined()
    expect(times.count).toBeGreaterThan(0)
    expect(times.fault()).toBeUndefined()
    expect(aborted.fault(base)).toBeUndefined()
    entries += offsets.count
    transactions += aborted.count
  }
  expect(entries).toBeGreaterThan(1)
  expect(transactions).toBe(1)
  const snapshots = listSnapshots(fs, directory)
  expect(snapshots.length).toBeGreaterThan(0)
  for (const at of snapshots) {
    const path = segmentPath(directory, at, 'snapshot')
    const [producer] = decodeProducerSnapshot(fs.readFile(path), path)
    expect(producer?.producerId).toBeGreaterThan(0)
    // The last one is of the clean stop, and then no transaction was open.
    if (at === snapshots[snapshots.length - 1]) expect(producer?.currentFirstOffset).toBe(-1)
  }
}

interface Message {
  readonly key: Buffer | null
  readonly value: unknown
  readonly timestamp: string
  readonly headers: Record<string, Buffer | (Buffer | null)[] | null>
}

function plain(message: Message): Omit<ExpectedRecord, 'committed'> {
  const headers: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(message.headers)) headers[name] = Array.isArray(value) ? value.map(String) : String(value)
  return {
    key: message.key === null ? null : String(message.key),
    value: message.value === null ? null : String(message.value as Buffer),
    headers,
    timestamp: message.timestamp,
  }
}
