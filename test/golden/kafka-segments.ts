import { cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Kafka, logLevel, type Message, type Producer } from 'kafkajs'
import { type KafkaBroker, startKafka } from '../outside/kafka/kafka-broker.js'

/**
 * Has a real Kafka write one partition for each codec, with everything that a record may have, transactions that ended both ways, and a
 * clean stop, so that every kind of file is there; beside them what was sent, as JSON. The broker compresses, so the bytes are those
 * of Kafka's own libraries.
 */
export const kafkaCodecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const

export interface ExpectedRecord {
  readonly key: string | null
  readonly value: string | null
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly timestamp: string
  /** Records of an aborted transaction are in the file, and no reader of committed records sees them. */
  readonly committed: boolean
}

const TIMESTAMP = 1_750_000_000_000

/** Two of a kind, then what is rare. Keys and values are text, so that the expectation can be read. */
export const batches: readonly { readonly committed: boolean; readonly transactional: boolean; readonly records: readonly ExpectedRecord[] }[] = [
  {
    transactional: false,
    committed: true,
    records: [
      record({ key: 'user-1', value: '{"page":"/a"}', headers: { trace: '01ab' } }),
      record({ key: null, value: 'no key' }),
      record({ key: 'user-1', value: null }),
      record({ key: '', value: '' }),
      record({ key: 'größe', value: '日本語 🎏', headers: { 'naïve': 'é', list: ['one', 'two'], empty: '' } }),
    ],
  },
  { transactional: true, committed: true, records: [record({ key: 'tx', value: 'committed' }), record({ key: 'tx', value: null })] },
  { transactional: true, committed: false, records: [record({ key: 'tx', value: 'aborted' })] },
  ...Array.from({ length: 8 }, (_, b) => ({
    transactional: false,
    committed: true,
    records: Array.from({ length: 40 }, (_, i) =>
      record({ key: `key-${(b * 40 + i) % 7}`, value: `value ${b * 40 + i} `.repeat(4 + (i % 5)), at: b * 1000 + ((i * 37) % 500) }),
    ),
  })),
]

function record(given: { key: string | null; value: string | null; headers?: ExpectedRecord['headers']; at?: number }): ExpectedRecord {
  return { key: given.key, value: given.value, headers: given.headers ?? {}, timestamp: String(TIMESTAMP + (given.at ?? 0)), committed: true }
}

/** The records in the order of their offsets, each with its fate. */
export function expectedRecords(): ExpectedRecord[] {
  return batches.flatMap(({ committed, records }) => records.map((each) => ({ ...each, committed })))
}

const topicOf = (codec: string): string => `codec-${codec}`

/** Fills a new broker in `directory`, stops it, and gives the folder of each codec's partition. */
export async function writeByKafka(directory: string): Promise<Map<string, string>> {
  const broker = await startKafka(directory)
  try {
    await fill(broker)
  } finally {
    await broker.stop()
  }
  return new Map(kafkaCodecs.map((codec) => [codec, join(broker.data, `${topicOf(codec)}-0`)]))
}

async function fill(broker: KafkaBroker): Promise<void> {
  const kafka = new Kafka({ brokers: [broker.address], logLevel: logLevel.NOTHING, retry: { retries: 20 } })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({
    topics: kafkaCodecs.map((codec) => ({
      topic: topicOf(codec),
      numPartitions: 1,
      replicationFactor: 1,
      configEntries: [
        { name: 'compression.type', value: codec === 'none' ? 'uncompressed' : codec },
        { name: 'index.interval.bytes', value: '1000' },
        { name: 'retention.ms', value: '-1' },
      ],
    })),
  })
  await admin.disconnect()
  const plain = kafka.producer()
  const transactional = kafka.producer({ transactionalId: 'golden', idempotent: true, maxInFlightRequests: 1 })
  await plain.connect()
  await transactional.connect()
  for (const batch of batches) {
    const messages = batch.records.map(messageOf)
    if (!batch.transactional) {
      for (const codec of kafkaCodecs) await plain.send({ topic: topicOf(codec), messages })
      continue
    }
    await inTransaction(transactional, messages, batch.committed)
  }
  await plain.disconnect()
  await transactional.disconnect()
}

async function inTransaction(producer: Producer, messages: Message[], commit: boolean): Promise<void> {
  const transaction = await producer.transaction()
  for (const codec of kafkaCodecs) await transaction.send({ topic: topicOf(codec), messages })
  await (commit ? transaction.commit() : transaction.abort())
}

function messageOf(expected: ExpectedRecord): Message {
  const headers: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(expected.headers)) headers[name] = typeof value === 'string' ? value : [...value]
  return { key: expected.key, value: expected.value, headers, timestamp: expected.timestamp }
}

/** Copies the files of segments alone, and says beside them what is in them. */
export function keepAsGolden(partitions: ReadonlyMap<string, string>, target: string): void {
  for (const [codec, from] of partitions) {
    mkdirSync(join(target, codec), { recursive: true })
    for (const name of readdirSync(from)) if (/^\d{20}\./.test(name)) cpSync(join(from, name), join(target, codec, name))
  }
  writeFileSync(join(target, 'expected.json'), `${JSON.stringify(expectedRecords(), null, 1)}\n`)
}
