import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectedJobs, settings, shareGroup, writeGroupsDirectory } from '../golden/groups-directory.js'
import { temporaryDirectory } from '../log/log-fixture.js'
import { complaints, dumpLog } from './kafka/kafka-tools.js'

/** The internal topics of groups in the eyes of kafka-dump-log, whose decoders are those of Kafka's coordinators. */
const directory = temporaryDirectory()
const segmentOf = (topic: string): string =>
  join(directory.path, 'data', 'log', `${topic}-0`, '00000000000000000000.log')

beforeAll(() => writeGroupsDirectory(join(directory.path, 'data')))
afterAll(() => directory.remove())

interface Decoded {
  readonly type: number
  readonly key: Record<string, unknown>
  /** Null: a tombstone. */
  readonly value: Record<string, unknown> | null
}

/** Records as the tool prints them with a decoder. */
function decoded(dump: string): Decoded[] {
  const lines = [...dump.matchAll(/ key: (\{"type".*?\}\})(?: payload: (.*))?$/gm)]
  return lines.map(([, key = '', value = '']) => {
    const { type, data } = JSON.parse(key) as { type: string; data: Record<string, unknown> }
    const isNull = value === '' || value === '<null>' || value === 'null'
    return {
      type: Number(type),
      key: data,
      value: isNull ? null : (JSON.parse(value) as { data: Record<string, unknown> }).data,
    }
  })
}

interface StateBatch {
  readonly firstOffset: number
  readonly lastOffset: number
  readonly deliveryState: number
  readonly deliveryCount: number
}

test('kafka-dump-log --share-group-state-decoder reads what share groups have in flight', async () => {
  const dump = await dumpLog([segmentOf('__share_group_state')], ['--share-group-state-decoder'])
  expect(complaints(dump)).toEqual([])
  const records = decoded(dump)
  expect(records.filter(({ type }) => type === 0).length).toBeGreaterThan(2)
  expect(records.filter(({ type }) => type === 1).length).toBeGreaterThan(0)
  for (const { key } of records) expect(key).toMatchObject({ groupId: shareGroup, topicId: expect.any(String) })
  const found = [0, 1].flatMap((partition) => stateOf(partition, records))
  const left = found.filter(({ state }) => state === 0)
  const expected = expectedJobs().map(({ job, deliveryCount }) => ({
    place: `${job % 2}:${Math.floor(job / 2)}`,
    state: 0,
    deliveryCount: deliveryCount - 1,
  }))
  expect(left.sort(byPlace)).toEqual(expected.sort(byPlace))
  expect(found.every(({ state }) => [0, 2, 4].includes(state))).toBe(true)
})

interface RecordState {
  readonly place: string
  readonly state: number
  readonly deliveryCount: number
}

/** As Kafka's coordinator puts it together: the last snapshot of the partition, and what came behind it. */
function stateOf(partition: number, records: readonly Decoded[]): RecordState[] {
  const ofPartition = records.filter(({ key }) => key['partition'] === partition)
  const layers = ofPartition.slice(ofPartition.findLastIndex(({ type }) => type === 0))
  const found = new Map<number, RecordState>()
  for (const { firstOffset, lastOffset, deliveryState, deliveryCount } of layers.flatMap(batchesOf)) {
    for (let offset = firstOffset; offset <= lastOffset; offset++) {
      found.set(offset, { place: `${partition}:${offset}`, state: deliveryState, deliveryCount })
    }
  }
  const start = Number(layers.at(-1)?.value?.['startOffset'])
  return [...found].filter(([offset]) => offset >= start).map(([, state]) => state)
}

const batchesOf = ({ value }: Decoded): StateBatch[] => (value?.['stateBatches'] ?? []) as StateBatch[]

const byPlace = (a: { readonly place: string }, b: { readonly place: string }): number => (a.place < b.place ? -1 : 1)

test('and passes over the settings of groups, which are ours', async () => {
  const dump = await dumpLog([segmentOf('__share_group_state')], ['--share-group-state-decoder'])
  expect(dump.match(/Unknown record type 1000 at offset \d+, skipping/g)?.length).toBeGreaterThan(1)
  const plain = await dumpLog([segmentOf('__share_group_state')], ['--print-data-log'])
  expect(plain).toContain(JSON.stringify({ 'share.record.lock.duration.ms': '60000' }))
  for (const name of Object.keys(settings)) expect(plain).toContain(name)
})

test('kafka-dump-log --offsets-decoder reads committed offsets', async () => {
  const dump = await dumpLog([segmentOf('__consumer_offsets')], ['--offsets-decoder'])
  expect(complaints(dump)).toEqual([])
  expect(decoded(dump)).toMatchObject([
    { type: 1, key: { group: 'readers', topic: 'jobs', partition: 0 }, value: { offset: 7, metadata: 'a note' } },
    { type: 1, key: { group: 'readers', topic: 'jobs', partition: 1 }, value: { offset: 11, metadata: '' } },
  ])
})
