import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Producer } from '../../src/client/producer.js'
import { nodeEnv } from '../../src/common/env.js'
import { PartitionAppender } from '../../src/log/partition-appender.js'
import { encodeProducerSnapshot } from '../../src/log/producer-snapshot.js'
import { encodeAborted } from '../../src/log/transaction-index.js'
import { Codec, canCompress, codecNames } from '../../src/record/codec.js'
import { ControlType, markerWriter, transactionMarker } from '../../src/record/control-record.js'
import { type OpenLog, openLog } from '../log/log-fixture.js'
import { complaints, dumpLog } from './kafka/kafka-tools.js'

/**
 * Segment files as our engine writes them, in the eyes of kafka-dump-log. What it thinks wrong it says in its output, and ends with 0
 * all the same.
 */
const codecs = [Codec.none, Codec.gzip, Codec.snappy, Codec.lz4, Codec.zstd].filter(canCompress)
const directory = mkdtempSync(join(tmpdir(), 'millrace-outside-'))
const topicOf = (codec: Codec): string => `codec-${codecNames[codec]}`
const folderOf = (topic: string): string => join(directory, 'log', `${topic}-0`)
const filesOf = (topic: string, suffix: string): string[] =>
  readdirSync(folderOf(topic))
    .filter((name) => name.endsWith(suffix))
    .map((name) => join(folderOf(topic), name))

const BATCHES = 60
const RECORDS = 50

beforeAll(async () => {
  const log = await openLog({ dir: directory })
  for (const codec of codecs) {
    const topic = log.engine.createTopic({
      name: topicOf(codec),
      config: {
        'segment.bytes': codec === Codec.none ? 65_536 : 8192,
        'index.interval.bytes': 1000,
        'retention.ms': -1,
      },
    })
    const producer = new Producer(log.host, { compression: codec })
    const [partition] = topic.partitions
    if (partition === undefined) throw new Error('the topic has no partition')
    const appender = new PartitionAppender(partition, log.memory)
    for (let b = 0; b < BATCHES; b++) {
      const messages = Array.from({ length: RECORDS }, (_, i) => messageAt(b * RECORDS + i))
      await producer.send({ topic: topic.name, messages })
      if (b % 20 !== 10) continue
      const type = b === 30 ? ControlType.abort : ControlType.commit
      const marker = {
        type,
        producerId: 4000 + b,
        producerEpoch: 2,
        coordinatorEpoch: 7,
        timestamp: 1_750_000_000_000,
        aligned: false,
      }
      appender.append(transactionMarker(marker), markerWriter)
    }
    await producer.disconnect()
  }
  await writeCompacted(log)
  await log.close()
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const KEYS = 7
const COMPACTED_SENDS = 200

/** Tombstones stay for now, under a delete horizon. */
async function writeCompacted(log: OpenLog): Promise<void> {
  const config = { 'cleanup.policy': 'compact', 'segment.bytes': 2048, 'compression.type': 'lz4' }
  const { name } = log.engine.createTopic({ name: 'compacted', config })
  const producer = new Producer(log.host)
  for (let i = 0; i < COMPACTED_SENDS; i++) {
    const value = i % KEYS === 3 ? null : `value ${i} `.repeat(10)
    await producer.send({
      topic: name,
      messages: [
        { key: `k${i % KEYS}`, value },
        { key: 'hot', value: `${i}` },
      ],
    })
  }
  await producer.disconnect()
  await log.engine.compactNow(name)
}

interface Sent {
  readonly key: string | null
  readonly value: string | Buffer | null
  readonly headers?: Record<string, string | string[]>
  readonly timestamp: number
}

/** A tombstone, a null key, both empty, headers, text that is not ASCII: each now and then, and mostly what is usual. */
function messageAt(i: number): Sent {
  const timestamp = 1_750_000_000_000 + i * 10
  if (i % 11 === 3) return { key: `k${i}`, value: null, timestamp }
  if (i % 11 === 5) return { key: null, value: `no key ${i}`, timestamp }
  if (i % 11 === 7) return { key: '', value: '', timestamp }
  if (i % 11 === 9)
    return { key: `ключ-${i}`, value: `値 ${i}`, headers: { trace: `t${i}`, many: ['a', 'b'] }, timestamp }
  return { key: `k${i}`, value: `value ${i} `.repeat(3), timestamp }
}

describe.each(codecs)('kafka-dump-log on segments with codec %i', (codec) => {
  let dump = ''
  beforeAll(async () => {
    dump = await dumpLog(filesOf(topicOf(codec), '.log'), ['--deep-iteration', '--print-data-log'])
  })

  test('complains of nothing', () => {
    expect(complaints(dump)).toEqual([])
    expect(dump).toMatch(new RegExp(`compresscodec: ${codecNames[codec]}`, 'i'))
  })

  test('finds more than one segment, and in them every record with its key, value, headers and time', () => {
    expect(filesOf(topicOf(codec), '.log').length).toBeGreaterThan(1)
    const records = dump.split('\n').filter((line) => line.startsWith('| offset:') && !line.includes('endTxnMarker'))
    expect(records.length).toBe(BATCHES * RECORDS)
    records.forEach((line, i) => {
      const sent = messageAt(i)
      const key = sent.key === null ? '' : ` key: ${sent.key}`
      const value = sent.value === null ? '' : ` payload: ${String(sent.value)}`
      expect(line).toContain(`CreateTime: ${sent.timestamp}`)
      expect(line).toContain(`keySize: ${sent.key === null ? -1 : Buffer.byteLength(sent.key)}`)
      expect(line).toContain(`valueSize: ${sent.value === null ? -1 : Buffer.byteLength(sent.value)}`)
      expect(line).toContain(sent.headers === undefined ? 'headerKeys: []' : 'headerKeys: [trace,many,many]')
      expect(line.endsWith(`${key}${value}`)).toBe(true)
    })
  })

  test('finds the markers of transactions', () => {
    const markers = dump.split('\n').filter((line) => line.includes('endTxnMarker'))
    expect(markers.length).toBe(3)
    expect(markers.map((line) => /endTxnMarker: (\w+) coordinatorEpoch: (\d+)/.exec(line)?.slice(1))).toEqual([
      ['COMMIT', '7'],
      ['ABORT', '7'],
      ['COMMIT', '7'],
    ])
    expect(dump).toMatch(/producerId: 4030 producerEpoch: 2 .*isTransactional: true isControl: true/)
  })

  test('finds both indexes in order, by its sanity check and entry by entry against the log', async () => {
    const indexes = [...filesOf(topicOf(codec), '.index'), ...filesOf(topicOf(codec), '.timeindex')]
    expect(indexes.length).toBeGreaterThan(2)
    const sane = await dumpLog(indexes, ['--index-sanity-check'])
    expect(complaints(sane)).toEqual([])
    expect(sane.match(/passed sanity check/g)?.length).toBe(indexes.length)
    const entries = await dumpLog(indexes)
    expect(complaints(entries)).toEqual([])
    expect(entries.match(/^offset: \d+ position: \d+/gm)?.length).toBeGreaterThan(10)
    expect(entries.match(/^timestamp: \d+ offset: \d+/gm)?.length).toBeGreaterThan(10)
  })
})

test('kafka-dump-log reads what compaction has left: the last record of each key, tombstones under a delete horizon, sane indexes', async () => {
  const dump = await dumpLog(filesOf('compacted', '.log'), ['--deep-iteration', '--print-data-log'])
  expect(complaints(dump)).toEqual([])
  expect(dump).toMatch(/deleteHorizonMs: OptionalLong\[\d+\]/)
  const records = [...dump.matchAll(/^\| offset: (\d+) .* valueSize: (-?\d+) .* key: (\S+)/gm)]
  const last = Array.from({ length: KEYS }, (_, key) => COMPACTED_SENDS - 1 - ((COMPACTED_SENDS - 1 - key) % KEYS))
  const expected = [
    ...last.map((send) => ({ offset: 2 * send, key: `k${send % KEYS}`, isNull: send % KEYS === 3 })),
    { offset: 2 * COMPACTED_SENDS - 1, key: 'hot', isNull: false },
  ]
  expect(records.map(([, offset, size, key]) => ({ offset: Number(offset), key, isNull: size === '-1' }))).toEqual(
    expected.sort((a, b) => a.offset - b.offset),
  )
  const indexes = [...filesOf('compacted', '.index'), ...filesOf('compacted', '.timeindex')]
  expect(complaints(await dumpLog(indexes, ['--index-sanity-check']))).toEqual([])
})

test('kafka-dump-log reads an index of aborted transactions and a producer snapshot', async () => {
  const folder = folderOf('files-0')
  nodeEnv.fs.makeDirectory(folder)
  const aborted = join(folder, '00000000000000000000.txnindex')
  const snapshot = join(folder, '00000000000000000100.snapshot')
  const transaction = { producerId: 4000, firstOffset: 10, lastOffset: 20, lastStableOffset: 21 }
  nodeEnv.fs.replaceFile(aborted, encodeAborted(transaction))
  const producer = {
    producerId: 4000,
    producerEpoch: 3,
    lastSequence: 9,
    lastOffset: 99,
    offsetDelta: 4,
    timestamp: 1_750_000_000_000,
    coordinatorEpoch: 2,
    currentFirstOffset: 95,
  }
  nodeEnv.fs.replaceFile(snapshot, encodeProducerSnapshot([producer]))
  const dump = await dumpLog([aborted, snapshot])
  expect(complaints(dump)).toEqual([])
  expect(dump).toMatch(/producerId: 4000 firstOffset: 10 lastOffset: 20 lastStableOffset: 21/)
  expect(dump).toMatch(
    /producerId: 4000 producerEpoch: 3 .*coordinatorEpoch: 2 currentTxnFirstOffset: .*95.* firstSequence: 5 lastSequence: 9 lastOffset: 99 offsetDelta: 4/,
  )
})

test('the check finds what is wrong: a flipped bit is a complaint', async () => {
  const [whole] = filesOf(topicOf(Codec.none), '.log')
  const folder = folderOf('flipped-0')
  nodeEnv.fs.makeDirectory(folder)
  const copy = join(folder, '00000000000000000000.log')
  const bytes = Uint8Array.from(nodeEnv.fs.readFile(whole ?? ''))
  bytes[200] = (bytes[200] as number) ^ 4
  nodeEnv.fs.replaceFile(copy, bytes)
  expect(complaints(await dumpLog([copy], ['--deep-iteration'])).length).toBeGreaterThan(0)
})
