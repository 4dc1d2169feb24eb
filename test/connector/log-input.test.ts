import { afterAll, beforeAll, expect, test } from 'vitest'
import { Producer } from '../../src/client/producer.js'
import { nodeEnv } from '../../src/common/env.js'
import { LogInput } from '../../src/connector/log-input.js'
import { logSchema } from '../../src/connector/source-schemas.js'
import { PartitionReader } from '../../src/log/partition-reader.js'
import { structType } from '../../src/types/data-type.js'
import { readRows } from '../../src/types/row-reader.js'
import { t } from '../../src/types/schema.js'
import { type OpenLog, openLog } from '../log/log-fixture.js'

let log: OpenLog
beforeAll(async () => {
  log = await openLog()
})
afterAll(() => log.close())

const offsets = structType(logSchema.fields.filter((field) => field.name === 'offset' || field.name === 'value'))

test.each([
  ['bytes', undefined],
  ['typed', t.struct({ n: t.int })],
] as const)(
  'a limit in the middle of a batch ends what is handed out, and the rest comes with the next limit: %s',
  async (name, schema) => {
    const topic = log.engine.createTopic({ name, partitions: 1, schema: schema?.type })
    const values = Array.from({ length: 10 }, (_, n) => (schema === undefined ? `{"n":${n}}` : { n }))
    log.host.addTopic(topic)
    await new Producer(log.host).send({ topic: name, messages: values.map((value) => ({ value, partition: 0 })) })
    const partition = topic.partitions[0]
    if (partition === undefined) throw new Error('a partition was made')
    const reader = new PartitionReader({ partition, memory: log.memory, env: nodeEnv })
    const input = new LogInput(reader, partition, schema?.type, offsets, 0)
    const upTo = (limit: number): (string | number)[][] => {
      const rows: (string | number)[][] = []
      while (input.next(limit)) {
        for (const row of readRows(offsets, input)) {
          rows.push([row.offset as number, Buffer.from(row.value as Uint8Array).toString()])
        }
        input.release()
      }
      return rows
    }
    const expected = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => [from + i, `{"n":${from + i}}`])
    expect(upTo(4)).toStrictEqual(expected(0, 4))
    expect(input.offset).toBe(4)
    // Nothing came, and the same limit again gives nothing again.
    expect(upTo(4)).toStrictEqual([])
    expect(upTo(5)).toStrictEqual(expected(4, 5))
    expect(upTo(100)).toStrictEqual(expected(5, 10))
    expect(input.offset).toBe(10)
    input.close()
  },
)
