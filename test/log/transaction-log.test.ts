import { describe, expect, test } from 'vitest'
import { TransactionLog, type TransactionRecord } from '../../src/log/transaction-log.js'
import { openLog } from './log-fixture.js'
import { envOf, MemoryFileSystem } from './memory-file-system.js'
import { RawProducer, seen } from './transaction-fixture.js'

const PATH = '/d/transactions.log'

async function written(records: readonly TransactionRecord[]): Promise<Buffer> {
  const fs = new MemoryFileSystem()
  const { log } = TransactionLog.open(envOf(fs), PATH)
  for (const record of records) {
    log.append([record])
    await log.sync()
  }
  log.close()
  return Buffer.from(fs.readFile(PATH))
}

function opened(content: Uint8Array): readonly TransactionRecord[] {
  const fs = new MemoryFileSystem()
  fs.replaceFile(PATH, Buffer.from(content))
  return TransactionLog.open(envOf(fs), PATH).records
}

const records: readonly TransactionRecord[] = [
  { type: 'ids', next: 1000 },
  { type: 'producer', transactionalId: 'ä "x"', producerId: 3, epochEnd: 100, timeoutMs: 5, at: 7 },
  {
    type: 'commit',
    producerId: 3,
    producerEpoch: 1,
    ends: [{ topic: 't', topicId: 'id', partition: 0, end: 9 }],
  },
  { type: 'done', producerId: 3, producerEpoch: 1 },
]

describe('the file of the coordinator', () => {
  test('gives back what was written', async () => {
    expect(opened(await written(records))).toEqual(records)
  })

  test('cut at any byte it gives the records that are whole', async () => {
    const content = await written(records)
    let whole = 0
    for (let bytes = 8; bytes <= content.length; bytes++) {
      const found = opened(content.subarray(0, bytes))
      expect(records.slice(0, found.length)).toEqual(found)
      expect(found.length).toBeGreaterThanOrEqual(whole)
      whole = found.length
    }
    expect(whole).toBe(records.length)
  })

  test('zeros and garbage behind the last record are cut', async () => {
    const content = await written(records)
    expect(opened(Buffer.concat([content, Buffer.alloc(100)]))).toEqual(records)
    expect(opened(Buffer.concat([content, Buffer.from('garbage '.repeat(20))]))).toEqual(records)
  })

  test('a flipped bit in front of a record that was written after it was synced is refused, and nothing is cut', async () => {
    const content = await written(records)
    const last = await written(records.slice(0, -1))
    for (let byte = 8; byte < last.length; byte++) {
      const flipped = Buffer.from(content)
      flipped[byte] = (flipped[byte] as number) ^ (1 << (byte % 8))
      expect(() => opened(flipped)).toThrow(
        expect.objectContaining({ code: 'TRANSACTION_LOG_CORRUPT', hint: expect.any(String) }),
      )
    }
  })

  test('a file of something else is refused', () => {
    expect(() => opened(Buffer.from('MRTXLOG9 and more'))).toThrow(
      expect.objectContaining({ code: 'TRANSACTION_LOG_CORRUPT' }),
    )
    expect(() => opened(Buffer.from('MR'))).toThrow(expect.objectContaining({ code: 'TRANSACTION_LOG_CORRUPT' }))
  })
})

test('a decision whose sync has failed is in doubt: neither committed nor aborted until the next start', async () => {
  const fs = new MemoryFileSystem()
  const log = await openLog({ dir: '/d', env: envOf(fs) })
  log.engine.createTopic({ name: 't' })
  const producer = await RawProducer.open(log, 'x')
  producer.begin()
  producer.append('t', 0, ['a'])
  fs.onSync = async (path) => {
    if (path === PATH) throw new Error('EIO')
  }
  await expect(producer.end(true)).rejects.toMatchObject({ code: 'TRANSACTION_LOG_FAILED' })
  await expect(producer.end(false)).rejects.toMatchObject({ code: 'TRANSACTION_IN_DOUBT' })
  await expect(producer.end(true)).rejects.toMatchObject({ code: 'TRANSACTION_IN_DOUBT' })
  await expect(RawProducer.open(log, 'x')).rejects.toMatchObject({ code: 'TRANSACTION_IN_DOUBT' })
  expect(seen(log, 't', 0, 'read_committed')).toEqual([])
  // The record is with the operating system, so a process that takes over finds it.
  const left = new MemoryFileSystem()
  for (const [path, file] of fs.files)
    if (!path.endsWith('/lock')) left.replaceFile(path, Buffer.from(file.content.subarray(0, file.size)))
  const next = await openLog({ dir: '/d', env: envOf(left) })
  expect(seen(next, 't', 0, 'read_committed')).toEqual(['a'])
  await next.close()
  // A loss of power takes it away, and with it the transaction.
  const cut = await openLog({ dir: '/d', env: envOf(fs.afterPowerLoss()) })
  expect(seen(cut, 't', 0, 'read_committed')).toEqual([])
  await cut.close()
  fs.onSync = async () => undefined
  await log.close()
})

test('a full disk refuses the decision with a retriable error; the commit may be tried again', async () => {
  const fs = new MemoryFileSystem()
  const log = await openLog({ dir: '/d', env: envOf(fs) })
  log.engine.createTopic({ name: 't' })
  const producer = await RawProducer.open(log, 'x')
  producer.begin()
  producer.append('t', 0, ['a'])
  await log.engine.syncUpTo([{ topic: 't', partition: 0, offset: 1 }])
  fs.capacity = fs.usedBytes()
  await expect(producer.end(true)).rejects.toMatchObject({ code: 'DISK_FULL', retriable: true })
  expect(seen(log, 't', 0, 'read_committed')).toEqual([])
  fs.capacity = Number.MAX_SAFE_INTEGER
  await producer.end(true)
  expect(seen(log, 't', 0, 'read_committed')).toEqual(['a'])
  await log.close()
})
