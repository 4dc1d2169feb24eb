import { describe, expect, test } from 'vitest'
import { BareIngest, murmur2Ascii } from '../../bench/lib/bare-ingest.js'
import { BareGroup, bareFilterProject } from '../../bench/lib/bare-scan.js'
import { clickBatches } from '../../bench/lib/clicks.js'
import { groupsOf, nearly, totalsOf } from '../../bench/lib/expected.js'
import { clickRecord } from '../../bench/micro/rows.js'
import { murmur2OfString } from '../../src/record/partitioner.js'
import { viewsOf } from '../../src/types/block.js'
import { checkBlock } from '../../src/types/block-check.js'
import { readRows } from '../../src/types/row-reader.js'

/** A limit is worth something only if the bare loop does the work that it stands for. */
describe('the bare loops', () => {
  const batches = clickBatches({ batches: 3, batchSize: 1000, users: 50 })
  const ingest = new BareIngest(4)
  for (const batch of batches) ingest.send(batch, 1_767_225_600_000)
  const hour = 3_600_000

  test('ingest leaves blocks that the engine accepts and reads, each record in the partition of its key', () => {
    const rows = ingest.blocks.flatMap(({ chunk, position }) => {
      const views = viewsOf(chunk.u8.buffer)
      checkBlock(views, position, views.u8.length, clickRecord)
      return readRows(clickRecord, { views, position })
    })
    expect(rows).toHaveLength(3000)
    const expected = new Map(batches.flat().map(({ value }) => [value.ts, value]))
    const partitionOf = new Map<unknown, number>()
    for (const { __key, __keyHash, __timestamp, __headers, ...value } of rows) {
      expect(value).toEqual(expected.get(Number(value['ts'])))
      expect(Buffer.from(__key as Uint8Array).toString()).toBe(value['userId'])
      expect([__timestamp, __headers]).toEqual([1_767_225_600_000, null])
      const partition = (Number(__keyHash) & 0x7fffffff) % 4
      expect(partitionOf.get(value['userId']) ?? partition).toBe(partition)
      partitionOf.set(value['userId'], partition)
    }
  })

  test("the hash is the engine's", () => {
    for (const key of ['', 'a', 'ab', 'abc', 'abcd', 'user-1', 'user-12', 'user-123', 'user-1234']) {
      expect(murmur2Ascii(key)).toBe(murmur2OfString(key))
    }
  })

  test.each([true, false])('groups are those of a Map (stored hash: %s)', (storedHash) => {
    const group = new BareGroup(1 << 10)
    group.add(ingest.blocks, hour, storedHash)
    const expected = groupsOf(batches, 1, hour)
    expect(group.groups).toBe(expected.size)
    for (const entry of group.entries()) {
      const totals = expected.get(`${entry.userId}@${entry.window * hour}`)
      expect(entry.count).toBe(totals?.count)
      expect(nearly(entry.sum, totals?.sum ?? Number.NaN)).toBe(true)
    }
  })

  test('the filter keeps what a filter keeps', () => {
    expect(bareFilterProject(ingest.blocks, 50)).toBe(totalsOf(batches, 1, (price) => price > 50).count)
  })
})
