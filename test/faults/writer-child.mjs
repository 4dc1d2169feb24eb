// Appends numbered records to a durable log on its main thread, one send after the other, and says on standard output what was
// acknowledged, so that what was promised is known outside of a process that will be killed. Ends by itself after STEPS sends.
//   node writer-child.mjs DIR STEPS [hold]     hold: afterwards it stays, and sends one more for each line on standard input
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { nodeEnv } from '../../dist/common/env.js'
import { LogEngine } from '../../dist/log/log-engine.js'
import { PartitionAppender } from '../../dist/log/partition-appender.js'
import { createSharedLogMemory, LogMemory } from '../../dist/log/shared-memory.js'
import { RowsBatchBuilder } from '../../dist/record/rows-batch-builder.js'

const [dir, steps, hold] = process.argv.slice(2)
const memory = new LogMemory(createSharedLogMemory(32 * 1024 * 1024), 0)
const engine = await LogEngine.open({ env: nodeEnv, dir, fsync: 'group', memory, spillDirectory: `${dir}-spill` })
if (engine.list().length === 0) {
  engine.createTopic({ name: 't', partitions: 2, config: { 'segment.bytes': 1500, 'index.interval.bytes': 300 } })
}
const builder = new RowsBatchBuilder({ partitions: 1, random: () => 0 })
const appenders = engine.describe('t').partitions.map((p) => new PartitionAppender(p, memory, 0))

async function send(i) {
  const partition = i % 2
  const appender = appenders[partition]
  const first = appender.control.logEndOffset()
  const messages = Array.from({ length: 1 + (i % 3) }, (_, j) => ({
    value: `${partition} ${first + j} ${'.'.repeat(((first + j) * 31) % 200)}`,
    timestamp: Date.now(),
  }))
  builder.prepare(messages, 0, messages.length, 0)
  const base = appender.tryAppend(builder.batches[0], builder)
  engine.wake()
  await engine.syncUpTo([{ topic: 't', partition, offset: base + messages.length }])
  writeSync(1, `acked ${partition} ${base + messages.length}\n`)
}

writeSync(1, 'ready\n')
for (let i = 0; i < Number(steps); i++) await send(i)
writeSync(1, 'done\n')
if (hold === 'hold') {
  let i = Number(steps)
  for await (const _ of createInterface({ input: process.stdin })) {
    try {
      await send(i++)
    } catch (error) {
      writeSync(1, `refused ${error.code}\n`)
    }
  }
}
await engine.close()
