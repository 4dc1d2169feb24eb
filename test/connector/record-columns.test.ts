import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { nodeEnv } from '../../src/common/env.js'
import { LogInput } from '../../src/connector/log-input.js'
import { logSchema } from '../../src/connector/source-schemas.js'
import { PartitionReader } from '../../src/log/partition-reader.js'
import type { Message } from '../../src/record/key-scatter.js'
import { checkBlock } from '../../src/types/block-reader.js'
import { structType } from '../../src/types/data-type.js'
import { readRows } from '../../src/types/row-reader.js'
import { type OpenLog, openLog, RowsAppender, temporaryDirectory } from '../log/log-fixture.js'

const directory = temporaryDirectory()
let inMemory: OpenLog
let onDisk: OpenLog
let topics = 0

beforeAll(async () => {
  inMemory = await openLog()
  onDisk = await openLog({ dir: `${directory.path}/log` })
})
afterAll(async () => {
  await inMemory.close()
  await onDisk.close()
  directory.remove()
})

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 30 }),
  fc.uint8Array({ minLength: 200, maxLength: 300 }),
  fc.constant(null),
)
const message = fc.record({
  key: bytes,
  value: bytes,
  headers: fc.constantFrom(undefined, { trace: 'x' }),
  timestamp: fc.integer({ min: 0, max: 2 ** 45 }),
})
const batches = fc.array(fc.array(message, { minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 4 })

/** What a query sees of these records, written down from the records themselves. */
function expectedRows(topic: string, messages: readonly Message[], columns: readonly string[]): unknown[] {
  return messages.map((m, offset) => {
    const all: Record<string, unknown> = {
      key: m.key,
      value: m.value,
      topic,
      partition: 1,
      offset,
      timestamp: m.timestamp,
      timestampType: 0,
    }
    return Object.fromEntries(columns.map((name) => [name, all[name]]))
  })
}

test.each([
  ['memory', 60],
  ['files', 6],
] as const)(
  'records become the columns that are asked for, from any offset up to any limit, in %s',
  async (where, numRuns) => {
    const inFiles = where === 'files'
    const log = inFiles ? onDisk : inMemory
    await fc.assert(
      fc.asyncProperty(
        batches,
        fc.subarray(logSchema.fields.map((field) => field.name)),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (sent, columns, a, b) => {
          const name = `topic-${topics++}`
          const config = { 'segment.bytes': 4096, 'message.timestamp.after.max.ms': Number.MAX_SAFE_INTEGER }
          const topic = log.engine.createTopic({ name, partitions: 2, config })
          const appender = new RowsAppender(topic, log.memory, 1)
          for (const messages of sent) appender.appendMessages(messages)
          const messages = sent.flat()
          if (inFiles) await log.engine.syncUpTo([{ topic: name, partition: 1, offset: messages.length }])
          const partition = topic.partitions[1]
          if (partition === undefined) throw new Error('two partitions were made')
          const [from, limit] = [a, b].map((x) => Math.round(x * messages.length)).sort((x, y) => x - y) as [
            number,
            number,
          ]
          const schema = structType(logSchema.fields.filter((field) => columns.includes(field.name)))
          const reader = new PartitionReader({ partition, memory: log.memory, env: nodeEnv })
          const input = new LogInput(reader, partition, undefined, schema, from)
          const rows: unknown[] = []
          let count = 0
          while (input.next(limit)) {
            checkBlock(input.views, input.position, input.views.u8.length, schema)
            if (columns.length > 0) rows.push(...readRows(schema, input))
            count += input.to - input.from
            input.release()
          }
          input.close()
          expect(count).toBe(limit - from)
          expect(input.offset).toBe(limit)
          if (columns.length > 0) expect(rows).toStrictEqual(expectedRows(name, messages, columns).slice(from, limit))
        },
      ),
      { numRuns },
    )
  },
)
