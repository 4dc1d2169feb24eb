import { afterAll, beforeAll, expect, test } from 'vitest'
import { nodeEnv } from '../../src/common/env.js'
import { openInputs, type ScanPartition } from '../../src/connector/inputs.js'
import { logSchema } from '../../src/connector/source-schemas.js'
import { PartitionControl } from '../../src/log/partition-control.js'
import type { ScanInput } from '../../src/plan/physical-plan.js'
import { viewsOf } from '../../src/types/block.js'
import { type OpenLog, openLog } from '../log/log-fixture.js'

let log: OpenLog

beforeAll(async () => {
  log = await openLog()
})
afterAll(() => log.close())

const scan: ScanInput = {
  kind: 'scan',
  source: { format: 'log', streaming: true, schema: logSchema, options: {} },
  schema: logSchema,
  fields: logSchema.fields.map((_, i) => i),
  pushedFilters: [],
}

test('where one input partition cannot be opened, those before it are let go', () => {
  const topic = log.engine.createTopic({ name: 'three', partitions: 3 })
  const controls = topic.partitions.map((p) => new PartitionControl(p.control, p.controlOffset))
  const partitions = topic.partitions.map(
    (partition, index): ScanPartition => ({
      index,
      offset: index === 2 ? 7 : 0,
      maxEventTime: Number.NEGATIVE_INFINITY,
      topic: { partition, schema: undefined },
    }),
  )
  const around = { memory: log.memory, env: nodeEnv, viewsOf: () => viewsOf(new SharedArrayBuffer(0)) }
  const before = controls.map((control) => control.watchers())
  expect(() => openInputs(scan, partitions, around)).toThrow(/has no offset 7/)
  expect(controls.map((control) => control.watchers())).toEqual(before)

  const opened = openInputs(scan, partitions.slice(0, 2), around)
  expect(controls.slice(0, 2).every((control, i) => control.watchers() !== before[i])).toBe(true)
  for (const input of opened) input.close()
  expect(controls.map((control) => control.watchers())).toEqual(before)
})
