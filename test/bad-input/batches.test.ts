import { beforeEach, describe, expect, test } from 'vitest'
import { Producer } from '../../src/client/producer.js'
import { RecordDecoder } from '../../src/client/record-decoder.js'
import { crc32c } from '../../src/common/checksum.js'
import type { PartitionReader } from '../../src/log/partition-reader.js'
import { segmentPath } from '../../src/log/segment-files.js'
import {
  ATTRIBUTES,
  BASE_OFFSET,
  BATCH_HEADER_BYTES,
  BATCH_LENGTH,
  COLUMNS_PAYLOAD_OFFSET,
  CRC,
  LAST_OFFSET_DELTA,
  MAGIC,
  RECORD_COUNT,
} from '../../src/record/batch-header.js'
import { scalar, structType } from '../../src/types/data-type.js'
import { openLog, readerOf } from '../log/log-fixture.js'
import { envOf, MemoryFileSystem } from '../log/memory-file-system.js'

/**
 * A file of three batches of which the middle one is not what it should be. Whatever it is: the reader says so with a code, nothing is
 * deleted, memory stays small, and what lies around it can be read.
 */
const RECORDS = 3
const LARGE = 64 * 1024 * 1024

interface Opened {
  readonly reader: PartitionReader
  readonly values: () => string[]
  close(): Promise<void>
}

describe('a batch in a file', () => {
  let fs: MemoryFileSystem
  let path: string
  let middle: number
  let end: number

  beforeEach(async () => {
    fs = new MemoryFileSystem()
    await write('t', undefined)
  })

  async function write(name: string, schema: ReturnType<typeof structType> | undefined): Promise<void> {
    const log = await openLog({ dir: '/data', env: envOf(fs) })
    log.engine.createTopic({ name, ...(schema === undefined ? {} : { schema }) })
    const producer = new Producer(log.host)
    const starts: number[] = []
    path = segmentPath(`/data/log/${name}-0`, 0, 'log')
    for (let b = 0; b < 3; b++) {
      starts.push(fs.exists(path) ? fs.readFile(path).length : 0)
      const messages = Array.from({ length: RECORDS }, (_, i) => ({
        key: 'k',
        value: schema === undefined ? `v${b * RECORDS + i}` : { n: i, text: `v${b * RECORDS + i}` },
        headers: { h: 'x' },
      }))
      await producer.send({ topic: name, messages })
    }
    middle = starts[1] as number
    end = starts[2] as number
    await log.close()
  }

  /** Changes the middle batch; `sealed`: under a checksum that is right, as malice or a bug would have it. */
  function change(sealed: boolean, edit: (batch: DataView) => void): void {
    changeAt(middle, end, sealed, edit)
  }

  function changeAt(from: number, to: number, sealed: boolean, edit: (batch: DataView) => void): void {
    const bytes = Uint8Array.from(fs.readFile(path))
    const batch = new DataView(bytes.buffer, from, to - from)
    edit(batch)
    if (sealed) batch.setUint32(CRC, crc32c(bytes, from + ATTRIBUTES, to))
    fs.replaceFile(path, bytes)
  }

  async function open(name = 't', skipDamage = false): Promise<Opened> {
    const log = await openLog({ dir: '/data', env: envOf(fs) })
    const topic = log.engine.describe(name)
    const reader = readerOf(topic, log.memory, 0, { env: envOf(fs), skipDamage })
    const decoder = new RecordDecoder(topic)
    reader.seek(0)
    return {
      reader,
      values: () => {
        const found: string[] = []
        while (reader.next())
          for (const message of decoder.decode(reader, 0))
            found.push(String(message.value), Object.keys(message.headers).join())
        return found
      },
      close: () => log.close(),
    }
  }

  /** The reader refuses the batch with a code, and then all the same gives what is around it. */
  async function expectRefused(code: string): Promise<void> {
    const before = fs.readFile(path)
    const memory = process.memoryUsage().arrayBuffers
    const opened = await open()
    expect(() => opened.values()).toThrowError(expect.objectContaining({ code }) as Error)
    expect(process.memoryUsage().arrayBuffers - memory).toBeLessThan(LARGE)
    await opened.close()
    const skipping = await open('t', true)
    const values = await readAround(skipping)
    expect(values.filter((value) => value !== 'h')).toEqual(['v0', 'v1', 'v2', 'v6', 'v7', 'v8'])
    await skipping.close()
    expect(Buffer.compare(fs.readFile(path), before)).toBe(0)
  }

  async function readAround(opened: Opened): Promise<string[]> {
    const first: string[] = []
    try {
      return opened.values()
    } catch {
      // A batch whose records lie is met when they are taken out: who skips it goes on behind it.
      opened.reader.seek(0)
      opened.reader.next()
      first.push('v0', 'v1', 'v2')
      opened.reader.seek(2 * RECORDS)
      return [...first, ...opened.values()]
    }
  }

  test('with a wrong checksum is damage', async () => {
    change(false, (batch) => batch.setUint32(CRC, 0x12345678))
    await expectRefused('SEGMENT_CORRUPT')
  })

  test('of an unknown magic is damage', async () => {
    change(true, (batch) => batch.setInt8(MAGIC, 3))
    await expectRefused('SEGMENT_CORRUPT')
  })

  test.each([
    ['negative', -5],
    ['of 2 GiB', 0x7fffffff],
    ['shorter than a header', 20],
    ['beyond the largest batch', 4 * 1024 * 1024],
  ])('with a length that is %s is damage', async (_, length) => {
    change(false, (batch) => batch.setInt32(BATCH_LENGTH, length))
    await expectRefused('SEGMENT_CORRUPT')
  })

  test.each([
    ['negative', -1n],
    ['one that was given before', 0n],
    ['beyond what a number holds', 2n ** 62n],
  ])('whose offset is %s is damage', async (_, offset) => {
    change(true, (batch) => batch.setBigInt64(BASE_OFFSET, offset))
    await expectRefused('SEGMENT_CORRUPT')
  })

  test.each([
    ['a negative count of records', RECORD_COUNT, -3],
    ['more records than offsets', RECORD_COUNT, 1_000_000_000],
    ['a negative last offset', LAST_OFFSET_DELTA, -1],
  ])('with %s is damage', async (_, field, value) => {
    change(true, (batch) => batch.setInt32(field, value))
    await expectRefused('SEGMENT_CORRUPT')
  })

  const countMany = (batch: DataView): void => {
    batch.setInt32(LAST_OFFSET_DELTA, 0x3fffffff)
    batch.setInt32(RECORD_COUNT, 0x3fffffff)
  }

  const counting = (records: number) => (batch: DataView) => {
    batch.setInt32(LAST_OFFSET_DELTA, records - 1)
    batch.setInt32(RECORD_COUNT, records)
  }

  test.each([
    ['that claims every offset there is', countMany],
    ['that claims the offsets of the batch behind it', counting(2 * RECORDS)],
    ['that claims an offset of the batch behind it', counting(RECORDS + 1)],
    ['that claims fewer offsets than it has records', counting(RECORDS - 1)],
    [
      'that claims more offsets than it has records',
      (batch: DataView) => batch.setInt32(LAST_OFFSET_DELTA, RECORDS + 1),
    ],
  ])('%s is damage, and the one behind it is not', async (_, edit) => {
    change(true, edit)
    await expectRefused('SEGMENT_CORRUPT')
  })

  test('with fewer bytes of records than it counts is refused', async () => {
    changeAt(end, fs.readFile(path).length, true, countMany)
    const opened = await open()
    expect(() => opened.values()).toThrowError(expect.objectContaining({ code: 'RECORD_CORRUPT' }) as Error)
    await opened.close()
  })

  test.each([
    ['of 2 GiB', [0xfe, 0xff, 0xff, 0xff, 0x0f]],
    ['of -2 bytes', [0x03]],
    ['of no bytes', [0x00]],
  ])('with a record %s is refused', async (_, varint) => {
    change(true, (batch) => {
      for (let i = 0; i < varint.length; i++) batch.setUint8(BATCH_HEADER_BYTES + i, varint[i] as number)
    })
    await expectRefused('RECORD_CORRUPT')
  })

  test('with a record whose offset goes back is refused', async () => {
    // Length, attributes, time, then the offset delta of the first record.
    change(true, (batch) => batch.setUint8(BATCH_HEADER_BYTES + 3, 0x01))
    await expectRefused('RECORD_CORRUPT')
  })

  test('with a key that is longer than its record is refused', async () => {
    change(true, (batch) => batch.setUint8(BATCH_HEADER_BYTES + 4, 0x7e))
    await expectRefused('RECORD_CORRUPT')
  })

  test('whose headers are longer than the record is refused when they are asked for', async () => {
    change(true, (batch) => batch.setUint8(BATCH_HEADER_BYTES + 10, 0x7e))
    await expectRefused('RECORD_CORRUPT')
  })

  test('of columns whose block leads outside of it is refused', async () => {
    const schema = structType([
      { name: 'n', type: scalar('int'), nullable: false },
      { name: 'text', type: scalar('string'), nullable: false },
    ])
    await write('typed', schema)
    // Every word of the block's header and directory, at an edge.
    const fields = 4 + 6 * 4
    const whole = Uint8Array.from(fs.readFile(path))
    for (let field = 0; field < fields; field++) {
      for (const value of [-8, 0x7ffffff8]) {
        fs.replaceFile(path, whole)
        change(true, (batch) => batch.setInt32(COLUMNS_PAYLOAD_OFFSET + field * 4, value, true))
        const log = await openLog({ dir: '/data', env: envOf(fs) })
        const topic = log.engine.describe('typed')
        const consumer = { topic, partition: topic.partitions[0] }
        expect(consumer.partition).toBeDefined()
        const reader = readerOf(topic, log.memory, 0, { env: envOf(fs), schema })
        reader.seek(RECORDS)
        expect(() => reader.next(), `word ${field} = ${value}`).toThrowError(
          expect.objectContaining({ code: expect.stringMatching(/^(BLOCK|RECORD)_CORRUPT$/) as string }) as Error,
        )
        await log.close()
      }
    }
  })
})

test('a record with a header of a megabyte is refused, and nothing of its send is written', async () => {
  const log = await openLog()
  const topic = log.engine.createTopic({ name: 't' })
  const send = new Producer(log.host).send({
    topic: 't',
    messages: [{ value: 'small' }, { value: 'v', headers: { h: 'x'.repeat(1 << 20) } }],
  })
  await expect(send).rejects.toMatchObject({ code: 'RECORD_TOO_LARGE' })
  expect(readerOf(topic, log.memory).logEndOffset()).toBe(0)
  await log.close()
})
