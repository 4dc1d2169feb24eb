import { join } from 'node:path'
import type { Millrace } from 'millrace'
import { sequentialWrite } from '../lib/disk-limit.js'
import type { Bench, Line } from '../lib/line.js'
import { LOG_TOPIC, type LogMessage, logMessages, openLog, recordBytes } from '../lib/log-shapes.js'
import { check, median } from '../lib/measure.js'

/** A part of the shapes, such as '100 16' or '1024 1 interval'. */
const ONLY = process.env.MILLRACE_BENCH_SHAPE ?? ''

/**
 * As fast as it goes: one producer with sends of 10 000 records, then one consumer with eachBatch that looks at each value, on
 * one partition and on sixteen, with values of 100 B and 1 KiB, in memory and in the fsync modes that acknowledge groups.
 */
const bench: Bench = {
  name: 'log-throughput',
  suite: 'log',
  async run({ quick, directory, log }) {
    const lines: Line[] = []
    for (const valueBytes of [100, 1024]) {
      const messages = logMessages(10_000, valueBytes)
      const bytes = messages.reduce((sum, message) => sum + recordBytes(message), 0) / messages.length
      const records = Math.round((quick ? 64e6 : 512e6) / bytes / 10_000) * 10_000
      for (const partitions of quick ? [1] : [1, 16]) {
        for (const storage of ['memory', 'interval', 'group'] as const) {
          if (!`${valueBytes} ${partitions} ${storage}`.startsWith(ONLY)) continue
          log(`${valueBytes} B, ${partitions} ${partitions === 1 ? 'partition' : 'partitions'}, ${storage}`)
          lines.push(
            ...(await throughput({ directory, messages, bytes, records, partitions, storage, repeats: quick ? 2 : 5 })),
          )
        }
      }
    }
    return lines
  },
}

export default bench

interface Shape {
  readonly directory: string
  readonly messages: readonly LogMessage[]
  readonly bytes: number
  readonly records: number
  readonly partitions: number
  readonly storage: 'memory' | 'interval' | 'group'
  readonly repeats: number
}

async function throughput(shape: Shape): Promise<Line[]> {
  const { directory, messages, bytes, records, partitions, storage, repeats } = shape
  const producing: number[] = []
  const consuming: number[] = []
  const limits: number[] = []
  for (let run = -1; run < repeats; run++) {
    const dir = join(directory, `${storage}-${partitions}-${messages[0]?.value.length}-${run}`)
    const mill = await openLog(partitions, {
      memoryBudget: 2 * 1024 ** 3,
      ...(storage === 'memory' ? {} : { dir, fsync: storage }),
    })
    const limit =
      storage === 'memory'
        ? copyLimit(messages, bytes, records)
        : sequentialWrite(directory, Math.ceil((records * bytes) / (1 << 20))) / bytes
    const produced = await produce(mill, messages, records)
    const consumed = await consume(mill, records, messages[0]?.value.length ?? 0)
    await mill.close()
    if (run < 0) continue
    limits.push(limit)
    producing.push(produced)
    consuming.push(consumed)
  }
  const size = (messages[0]?.value.length ?? 0) === 100 ? '100 B' : '1 KiB'
  const where = storage === 'memory' ? 'memory' : `fsync '${storage}'`
  const name = `${size}, ${partitions} partition${partitions === 1 ? '' : 's'}, ${where}`
  const limit = {
    what: storage === 'memory' ? 'copies of key and value into new memory' : 'sequential write',
    value: median(limits),
  }
  const figure = median(producing)
  return [
    {
      what: `produce ${name}`,
      figure,
      spread: { min: Math.min(...producing), max: Math.max(...producing) },
      unit: 'records/s',
      limit,
      ...requiredOf(size, storage),
      notes: [`produce ${name}: ${((figure * bytes) / 1e6).toFixed(0)} MB/s`],
    },
    {
      what: `consume ${name}`,
      figure: median(consuming),
      spread: { min: Math.min(...consuming), max: Math.max(...consuming) },
      unit: 'records/s',
      ...(storage === 'memory' ? { limit } : {}),
      ...(size === '100 B' ? { required: { atLeast: 4e6 } } : {}),
    },
  ]
}

function requiredOf(size: string, storage: string): Pick<Line, 'required'> {
  if (size === '100 B' && storage === 'memory') return { required: { atLeast: 2e6 } }
  if (size === '1 KiB' && storage === 'interval') return { required: { ofLimit: 0.7 } }
  return {}
}

async function produce(mill: Millrace, messages: readonly LogMessage[], records: number): Promise<number> {
  const producer = mill.producer()
  const pending: Promise<unknown>[] = []
  const start = performance.now()
  for (let sent = 0; sent < records; sent += messages.length) {
    pending.push(producer.send({ topic: LOG_TOPIC, messages }))
    if (pending.length >= 8) await pending.shift()
  }
  await Promise.all(pending)
  return (records * 1000) / (performance.now() - start)
}

async function consume(mill: Millrace, records: number, valueBytes: number): Promise<number> {
  const consumer = mill.consumer({ groupId: 'bench' })
  await consumer.subscribe({ topics: [LOG_TOPIC], fromBeginning: true })
  let received = 0
  let receivedBytes = 0
  const start = performance.now()
  await new Promise<void>((resolve) => {
    void consumer.run({
      eachBatch: ({ batch }) => {
        const { messages } = batch
        for (const message of messages) receivedBytes += (message.value as Buffer).length
        received += messages.length
        if (received >= records) resolve()
      },
    })
  })
  const seconds = (performance.now() - start) / 1000
  await consumer.stop()
  check(received === records, `${received} records of ${records}`)
  check(receivedBytes === records * valueBytes, `${receivedBytes} bytes of values, not ${records * valueBytes}`)
  return records / seconds
}

/**
 * Records a second of a loop that only copies key and value one after the other into memory that nobody has used, as that of a topic in memory: the first touch of
 * a page may cost more than all that is written there.
 */
function copyLimit(messages: readonly LogMessage[], bytes: number, records: number): number {
  const target = Buffer.from(new SharedArrayBuffer(Math.ceil((records + messages.length) * bytes)))
  const start = performance.now()
  let at = 0
  for (let copied = 0; copied < records; copied += messages.length) {
    for (let i = 0; i < messages.length; i++) {
      const { key, value } = messages[i] as LogMessage
      target.set(key, at)
      target.set(value, at + key.length)
      at += key.length + value.length
    }
  }
  return (records * 1000) / (performance.now() - start)
}
