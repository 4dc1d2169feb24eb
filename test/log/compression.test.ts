import { afterEach, describe, expect, test } from 'vitest'
import { CompressionTypes } from '../../src/client/kafkajs-names.js'
import { Producer, type ProducerOptions } from '../../src/client/producer.js'
import { RecordDecoder } from '../../src/client/record-decoder.js'
import { crc32c } from '../../src/common/checksum.js'
import { segmentPath } from '../../src/log/segment-files.js'
import { BatchUnpacker, packBatches } from '../../src/record/batch-compression.js'
import {
  ATTRIBUTES,
  batchByteLength,
  batchDamage,
  COLUMNS_VERSION,
  COMPRESSION_MASK,
  CRC,
  hasColumnsPayload,
} from '../../src/record/batch-header.js'
import { Codec, canCompress, codecNames, defaultLevels } from '../../src/record/codec.js'
import { RowsBatchBuilder } from '../../src/record/rows-batch-builder.js'
import { RecordCursor } from '../../src/record/rows-payload.js'
import { viewsOf } from '../../src/types/block.js'
import { scalar, structType } from '../../src/types/data-type.js'
import { type OpenLog, openLog, readerOf, readValues } from './log-fixture.js'
import { envOf, MemoryFileSystem } from './memory-file-system.js'

const codecs = [Codec.none, Codec.gzip, Codec.snappy, Codec.lz4, Codec.zstd].filter(canCompress)
const values = Array.from({ length: 500 }, (_, i) => `value ${i} of five hundred, much like all the others`)
const schema = structType([
  { name: 'n', type: scalar('int'), nullable: false },
  { name: 'page', type: scalar('string'), nullable: true },
])

describe('compression', () => {
  let log: OpenLog
  const fs = new MemoryFileSystem()
  afterEach(async () => {
    await log.close()
  })

  const open = async (): Promise<OpenLog> => {
    log = await openLog({ dir: '/data', env: envOf(fs), fsync: 'group' })
    return log
  }
  const codecsOf = (topic: string): number[] => {
    const bytes = fs.readFile(segmentPath(`/data/log/${topic}-0`, 0, 'log'))
    const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const found: number[] = []
    for (let at = 0; at < bytes.length; at += batchByteLength(dv, at)) {
      expect(batchDamage(viewsOf(padded(bytes)), at, bytes.length)).toBeUndefined()
      // What memory says of codecs never reaches a file.
      expect(dv.getInt16(at + ATTRIBUTES) & 0x380).toBe(0)
      found.push(dv.getInt16(at + ATTRIBUTES) & COMPRESSION_MASK)
    }
    return found
  }
  const send = async (topic: string, options: ProducerOptions, perSend?: 'gzip' | 'none'): Promise<void> => {
    const producer = new Producer(log.host, options)
    await producer.send({
      topic,
      messages: values.map((value, i) => ({ key: `k${i}`, value, headers: { h: 'x' } })),
      ...(perSend === undefined ? {} : { compression: perSend }),
    })
    await producer.disconnect()
  }

  test.each(codecs)('of codec %i in a topic: files have it, memory and readers do not', async (codec) => {
    const name = codecNames[codec] as string
    await open()
    const config = { 'compression.type': codec === Codec.none ? 'uncompressed' : name }
    log.engine.createTopic({ name: `topic-${name}`, config })
    await send(`topic-${name}`, { compression: 'gzip' })
    expect(readValues(readerOf(log.engine.describe(`topic-${name}`), log.memory, 0, { env: envOf(fs) }), 0)).toEqual(
      values,
    )
    expect(codecsOf(`topic-${name}`)).toEqual([codec])
    await log.close()
    await open()
    const reader = readerOf(log.engine.describe(`topic-${name}`), log.memory, 0, { env: envOf(fs) })
    expect(readValues(reader, 0)).toEqual(values)
    reader.seek(250)
    expect(reader.next()).toBe(true)
    expect(reader.attributes).toBe(0)
    const message = new RecordDecoder(log.engine.describe(`topic-${name}`)).decode(reader, 250)[0]
    expect(message).toMatchObject({ offset: '250', headers: { h: Buffer.from('x') } })
    expect(String(message?.value)).toBe(values[250])
  })

  test("of a producer counts where the topic leaves it to producers, a send's own before it", async () => {
    await open()
    log.engine.createTopic({ name: 'by-producer' })
    await send('by-producer', { compression: CompressionTypes.LZ4 })
    await send('by-producer', { compression: 'snappy' })
    await send('by-producer', { compression: 'snappy' }, 'gzip')
    await send('by-producer', { compression: 'snappy' }, 'none')
    await send('by-producer', {})
    expect(codecsOf('by-producer')).toEqual([Codec.lz4, Codec.snappy, Codec.gzip, Codec.none, Codec.none])
    expect(readValues(readerOf(log.engine.describe('by-producer'), log.memory, 0, { env: envOf(fs) }), 1000)).toEqual([
      ...values,
      ...values,
      ...values,
    ])
  })

  test('of sends of one turn with two codecs keeps them apart', async () => {
    await open()
    log.engine.createTopic({ name: 'joined' })
    const message = { value: 'the same words again and again and again and again and again' }
    const one = new Producer(log.host, { compression: 'gzip' })
    const two = new Producer(log.host, { compression: 'lz4' })
    await Promise.all([one, one, two, one].map((p) => p.send({ topic: 'joined', messages: [message, message] })))
    expect(codecsOf('joined')).toEqual([Codec.gzip, Codec.lz4, Codec.gzip])
  })

  test('of columns keeps blocks at multiples of 8, and gives every row back', async () => {
    await open()
    log.engine.createTopic({ name: 'typed', schema, config: { 'compression.type': 'lz4' } })
    const producer = new Producer(log.host)
    const rows = values.map((page, n) => ({ key: page, value: { n, page: n % 3 === 0 ? null : page } }))
    for (let i = 0; i < 5; i++) await producer.send({ topic: 'typed', messages: rows.slice(i * 97, i * 97 + 97) })
    await producer.send({ topic: 'typed', messages: rows.slice(485, 486) })
    const bytes = fs.readFile(segmentPath('/data/log/typed-0', 0, 'log'))
    const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const found = codecsOf('typed')
    expect(found.slice(0, 5)).toEqual(new Array(5).fill(Codec.lz4))
    for (let at = 0; at < bytes.length; at += batchByteLength(dv, at)) {
      expect(at % 8).toBe(0)
      expect(hasColumnsPayload(dv, at)).toBe(true)
    }
    await log.close()
    await open()
    const topic = log.engine.describe('typed')
    const reader = readerOf(topic, log.memory, 0, { env: envOf(fs) })
    const decoder = new RecordDecoder(topic)
    reader.seek(0)
    const read: unknown[] = []
    while (reader.next()) {
      expect(reader.position % 8).toBe(0)
      for (const message of decoder.decode(reader, 0)) read.push({ key: String(message.key), value: message.value })
    }
    expect(read).toEqual(rows.slice(0, 486))
  })

  test('with a codec that does not exist is refused by name', async () => {
    await open()
    expect(() => new Producer(log.host, { compression: 'brotli' as 'gzip' })).toThrowError(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }) as Error,
    )
    const producer = new Producer(log.host)
    await expect(producer.send({ topic: 'x', messages: [], compression: 9 as 1 })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
  })

  test.runIf(!canCompress(Codec.zstd))('with zstd on a Node without it is refused where it is asked for', async () => {
    await open()
    await expect(async () =>
      log.engine.createTopic({ name: 'z', config: { 'compression.type': 'zstd' } }),
    ).rejects.toMatchObject({ code: 'COMPRESSION_UNSUPPORTED' })
    expect(() => new Producer(log.host, { compression: 'zstd' })).toThrowError(
      expect.objectContaining({ code: 'COMPRESSION_UNSUPPORTED' }) as Error,
    )
  })

  test('of a batch that lies about itself is an error with its offset, and nothing is skipped', async () => {
    await open()
    log.engine.createTopic({ name: 'lies', config: { 'compression.type': 'snappy' } })
    await send('lies', {})
    await log.close()
    const path = segmentPath('/data/log/lies-0', 0, 'log')
    const bytes = fs.readFile(path).slice()
    // A block length beyond the end, under a checksum that is right.
    new DataView(bytes.buffer).setInt32(61 + 16, 0x7fffffff)
    new DataView(bytes.buffer).setUint32(CRC, crc32c(bytes, ATTRIBUTES))
    fs.replaceFile(path, bytes)
    await open()
    const reader = readerOf(log.engine.describe('lies'), log.memory, 0, { env: envOf(fs) })
    reader.seek(0)
    expect(() => reader.next()).toThrowError(expect.objectContaining({ code: 'RECORD_CORRUPT' }) as Error)
    expect(() => reader.next()).toThrowError(expect.objectContaining({ code: 'RECORD_CORRUPT' }) as Error)
  })

  test('of a columns payload of a later version is refused with words', async () => {
    await open()
    log.engine.createTopic({ name: 'later', schema })
    await new Producer(log.host).send({ topic: 'later', messages: [{ value: { n: 1, page: 'a' } }] })
    await log.close()
    const path = segmentPath('/data/log/later-0', 0, 'log')
    const bytes = fs.readFile(path).slice()
    bytes[COLUMNS_VERSION] = 1
    new DataView(bytes.buffer).setUint32(CRC, crc32c(bytes, ATTRIBUTES))
    fs.replaceFile(path, bytes)
    await open()
    const reader = readerOf(log.engine.describe('later'), log.memory, 0, { env: envOf(fs) })
    reader.seek(0)
    expect(() => reader.next()).toThrowError(expect.objectContaining({ code: 'FORMAT_NEWER' }) as Error)
  })
})

test('a batch that becomes no smaller is left as it is, without the wish', () => {
  const views = viewsOf(new SharedArrayBuffer(1 << 16))
  const builder = new RowsBatchBuilder({ partitions: 1, random: () => 0 })
  builder.wantedCodec = Codec.gzip
  builder.prepare([{ key: 'k', value: 'v' }], 0, 1, 5)
  const [batch] = builder.batches
  if (batch === undefined) throw new Error('one batch was expected')
  const length = builder.writeTo(batch, views, 0, 3)
  expect(batchDamage(views, 0, length)).toBeUndefined()
  const run = packBatches(views, 0, length, { codec: 'producer', levels: defaultLevels })
  expect(run.to - run.from).toBe(length)
  expect(run.views.dv.getInt16(run.from + ATTRIBUTES)).toBe(0)
  expect(batchDamage(run.views, run.from, run.to)).toBeUndefined()
})

test('a batch of many records becomes small, and is unpacked to what it was', () => {
  const views = viewsOf(new SharedArrayBuffer(1 << 16))
  const builder = new RowsBatchBuilder({ partitions: 1, random: () => 0 })
  builder.prepare(
    values.map((value) => ({ value })),
    0,
    values.length,
    5,
  )
  const [batch] = builder.batches
  if (batch === undefined) throw new Error('one batch was expected')
  const length = builder.writeTo(batch, views, 8, 3)
  const before = Buffer.from(views.u8.slice(8, 8 + length))
  const run = packBatches(views, 8, 8 + length, { codec: Codec.lz4, levels: defaultLevels })
  expect(run.to - run.from).toBeLessThan(length / 2)
  const plain = new BatchUnpacker().unpack(run.views, run.from)
  expect(batchByteLength(plain.dv, 0)).toBe(length)
  const after = Buffer.from(plain.u8.slice(0, length))
  before.copy(after, CRC, CRC, CRC + 4)
  expect(after.equals(before)).toBe(true)
  const cursor = RecordCursor.ofBatch(plain, 0)
  let n = 0
  while (cursor.next()) expect(Buffer.from(cursor.value() as Uint8Array).toString()).toBe(values[n++])
  expect(n).toBe(500)
})

function padded(bytes: Uint8Array): ArrayBuffer {
  const whole = new Uint8Array((bytes.length + 7) & ~7)
  whole.set(bytes)
  return whole.buffer
}
