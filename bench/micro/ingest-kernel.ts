/**
 * What a record costs on its way into a record batch, part by part, without a log around it:
 *
 *   npx tsx bench/micro/ingest-kernel.ts
 *
 * Objects of 7 fields (3 strings, int, double, timestamp, boolean) with a string key, in arrays of 10 000 over
 * 4 partitions, into shared memory. Every run checks one array's batches before time counts. Ten different
 * arrays take turns, so that no string is hot by repetition alone.
 */

import { strict as assert } from 'node:assert'
import { crc32c, tableCrc32c } from '../../src/common/checksum.js'
import { modulesLoaded } from '../../src/common/lazy-module.js'
import { batchDamage } from '../../src/record/batch-header.js'
import { KeyScatter, type Message } from '../../src/record/key-scatter.js'
import { RowsBatchBuilder } from '../../src/record/rows-batch-builder.js'
import { RecordCursor } from '../../src/record/rows-payload.js'
import { TypedBatchBuilder } from '../../src/record/typed-batch-builder.js'
import { type BlockRef, viewsOf } from '../../src/types/block.js'
import { BlockBuilder } from '../../src/types/block-builder.js'
import { blocksFromRows, compileRowEncoder } from '../../src/types/column-builder.js'
import { compileRowReader, compileRowsReader, type Row } from '../../src/types/row-reader.js'
import { t } from '../../src/types/schema.js'

// Where Node cannot require ES modules (a loader translates them), what is loaded by its first use is there from the beginning.
await modulesLoaded()

const COUNT = 10_000
const PARTITIONS = 4
const SETS = 10

const Click = t.struct({
  userId: t.string,
  page: t.string,
  country: t.string,
  items: t.int,
  price: t.double,
  ts: t.timestamp,
  mobile: t.boolean,
})

function click(i: number, unicode: boolean): Message {
  const name = unicode ? `bénutzer-${i % 5000}` : `user-${10_000 + (i % 5000)}`
  return {
    key: name,
    value: {
      userId: name,
      page: `${unicode ? '/каталог' : '/catalog'}/item/${i % 977}`,
      country: `country-${i % 50}`,
      items: i % 100,
      price: (i % 1000) * 0.25,
      ts: 1_700_000_000_000 + i,
      mobile: (i & 1) === 0,
    },
  }
}

function messages(set: number, unicodeShare: number): Message[] {
  return Array.from({ length: COUNT }, (_, i) => click(i + set * 7919, i % 100 < unicodeShare * 100))
}

const views = viewsOf(new SharedArrayBuffer(8 << 20))

/** Nanoseconds of CPU time a record, the best of seven rounds: what others do on the machine stays out of it, as far as it can. */
function measure(name: string, records: number, run: (round: number) => void): number {
  for (let i = 0; i < 40; i++) run(i)
  const rounds: number[] = []
  for (let r = 0; r < 7; r++) {
    const start = process.cpuUsage()
    for (let i = 0; i < 30; i++) run(i)
    const { user, system } = process.cpuUsage(start)
    rounds.push(((user + system) * 1e3) / (30 * records))
  }
  rounds.sort((a, b) => a - b)
  const ns = rounds[0] as number
  console.log(`${name.padEnd(58)} ${ns.toFixed(1).padStart(8)} ns  ${(1000 / ns).toFixed(2).padStart(7)} M/s`)
  return ns
}

function produce(builder: TypedBatchBuilder | RowsBatchBuilder, set: readonly Message[]): number {
  let position = 0
  for (let at = 0; at < set.length; ) {
    at = builder.prepare(set, at, set.length, 1)
    for (const batch of builder.batches) position += builder.writeTo(batch, views, position, 0)
    position = (position + 7) & ~7
  }
  return position
}

const chance = (): number => 0.5

for (const share of [0, 0.1, 1]) {
  const sets = Array.from({ length: SETS }, (_, s) => messages(s, share))
  const builder = new TypedBatchBuilder(Click.type, { partitions: PARTITIONS, random: chance })
  produce(builder, sets[0] as Message[])
  let position = 0
  let records = 0
  for (const batch of builder.batches) {
    assert.equal(batchDamage(views, position, views.u8.length), undefined)
    position += batch.byteLength
    records += batch.records
  }
  assert.equal(records, COUNT)
  console.log(
    `\n${share * 100} % of the records with non-ASCII strings, ${(position / COUNT).toFixed(0)} bytes a record`,
  )
  measure('typed: prepare + writeTo, with CRC', COUNT, (i) => produce(builder, sets[i % SETS] as Message[]))
  measure('  prepare', COUNT, (i) => builder.prepare(sets[i % SETS] as Message[], 0, COUNT, 1))
  measure('  writeTo (4 batches, with CRC)', COUNT, () => {
    let at = 0
    for (const batch of builder.batches) at += builder.writeTo(batch, views, at, 0)
  })
  measure('  crc alone', COUNT, () => crc32c(views.u8, 0, position))
  measure('  crc alone, without the native package', COUNT, () => tableCrc32c(views.u8, 0, position))
  const scatter = new KeyScatter(PARTITIONS, 'murmur2', chance)
  measure('  hash + scatter', COUNT, (i) => scatter.scatter(sets[i % SETS] as Message[], 0, COUNT, 1))
  const encoder = compileRowEncoder(Click.type, { root: 'messages', unwrap: true, firstSlot: 0 })
  const block = new BlockBuilder(Click.type)
  block.setParts(PARTITIONS)
  scatter.scatter(sets[0] as Message[], 0, COUNT, 1)
  block.ensureRows(scatter.rowsEnd())
  measure('  objects to value columns, scattered to partitions', COUNT, (i) => {
    block.reset()
    encoder.encode(block, sets[i % SETS] as Message[], 0, COUNT, scatter.rows, scatter.parts)
  })
  const sizes = new Float64Array(COUNT)
  measure('  validate alone', COUNT, (i) => encoder.validate(sets[i % SETS] as Message[], 0, COUNT, sizes))
  const ref: BlockRef = blocksFromRows(
    Click.type,
    (sets[0] as Message[]).map((m) => m.value),
  )[0] as BlockRef
  const read = compileRowsReader(Click.type)
  measure('  columns to objects', COUNT, () => {
    const out: Row[] = []
    read(ref.views, ref.position, 0, COUNT, out)
  })
  const readOne = compileRowReader(Click.type)
  let sum = 0
  measure('  columns to objects, one at a time', COUNT, () => {
    for (let row = 0; row < COUNT; row++) sum += Object.is(readOne(ref.views, ref.position, row), 0) ? 1 : 0
  })
  assert.equal(sum, 0)
}

console.log('\nsmall sends')
const one = messages(0, 0)
const small = new TypedBatchBuilder(Click.type, { partitions: PARTITIONS, random: chance })
measure('typed: 10 records a call', 10_000, () => {
  for (let at = 0; at < COUNT; at += 10) {
    small.prepare(one, at, at + 10, 1)
    let position = 0
    for (const batch of small.batches) position += small.writeTo(batch, views, position, 0)
  }
})
measure('typed: 1 record a call', 10_000, () => {
  for (let at = 0; at < COUNT; at++) {
    small.prepare(one, at, at + 1, 1)
    for (const batch of small.batches) small.writeTo(batch, views, 0, 0)
  }
})

console.log('\nrows payload, 10-character key, 100 bytes of value')
const payload = new Uint8Array(100).fill(65)
const text = 'x'.repeat(100)
const rowsBuilder = new RowsBatchBuilder({ partitions: PARTITIONS, random: chance })
for (const [name, value] of [
  ['bytes', payload],
  ['string', text],
] as const) {
  const rows = Array.from({ length: COUNT }, (_, i) => ({ key: `user-${10_000 + (i % 5000)}`, value }))
  measure(`rows: prepare + writeTo, ${name}`, COUNT, () => produce(rowsBuilder, rows))
}
let seen = 0
const first = rowsBuilder.batches[0] as { byteLength: number; records: number }
produce(
  rowsBuilder,
  Array.from({ length: COUNT }, (_, i) => ({ key: `user-${i}`, value: payload })),
)
measure('rows: walk one batch', (rowsBuilder.batches[0] ?? first).records, () => {
  const cursor = RecordCursor.ofBatch(views, 0)
  while (cursor.next()) seen += cursor.valueEnd - cursor.valueStart
})
assert.ok(seen > 0)
