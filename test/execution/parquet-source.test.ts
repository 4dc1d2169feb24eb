import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { count, type Millrace, sum, t } from 'millrace'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sharedEngine } from '../engines.js'

let mill: Millrace
const dir = mkdtempSync(join(tmpdir(), 'millrace-parquet-'))
beforeAll(async () => {
  mill = await sharedEngine(2)
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const ROWS = 20_000
const Item = t.struct({
  n: t.long,
  big: t.bigint,
  name: t.string.nullable(),
  x: t.double,
  at: t.timestamp,
  ok: t.boolean,
})

function write(path: string, from: number): void {
  const of = <T>(value: (n: number) => T): T[] => Array.from({ length: ROWS }, (_, i) => value(from + i))
  const buffer = parquetWriteBuffer({
    rowGroupSize: 7000,
    columnData: [
      { name: 'n', data: of((n) => n), type: 'INT32' },
      { name: 'big', data: of((n) => 2n ** 60n + BigInt(n)), type: 'INT64' },
      { name: 'name', data: of((n) => (n % 5 === 0 ? null : `é${n % 7}`)), type: 'STRING' },
      { name: 'x', data: of((n) => n / 8), type: 'DOUBLE' },
      { name: 'at', data: of((n) => new Date(1_767_225_600_000 + n)), type: 'TIMESTAMP' },
      { name: 'ok', data: of((n) => n % 2 === 0), type: 'BOOLEAN' },
    ],
  })
  writeFileSync(path, new Uint8Array(buffer))
}

test('Parquet is read as a table, with the columns that are asked for, and as a stream, each row once', async () => {
  write(join(dir, 'a.parquet'), 0)
  const path = join(dir, '*.parquet')
  const rows = await mill.read.schema(Item).parquet(path).filter('n % 5000 = 0').orderBy('n').collect()
  const at = (n: number) => 1_767_225_600_000 + n
  expect(rows[1]).toEqual({ n: 5000, big: 2n ** 60n + 5000n, name: null, x: 625, at: at(5000), ok: true })
  expect(rows.length).toBe(4)
  expect(await mill.read.schema(Item).parquet(path).count()).toBe(ROWS)
  const Missing = t.struct({ n: t.int, later: t.string.nullable() })
  expect(await mill.read.schema(Missing).parquet(path).limit(1).collect()).toEqual([{ n: 0, later: null }])

  for (const trigger of [{ processingTime: '0 ms' }, { continuous: '5 ms' }] as const) {
    const query = await mill.readStream
      .schema(Item)
      .parquet(path)
      .agg({ rows: count(), all: sum('n') })
      .writeStream.queryName(`parquet${Object.keys(trigger)[0]}`)
      .format('memory')
      .outputMode('complete')
      .option('checkpointLocation', join(dir, `cp${Object.keys(trigger)[0]}`))
      .trigger(trigger)
      .start()
    await query.processAllAvailable()
    if ('continuous' in trigger) write(join(dir, 'b.parquet'), ROWS)
    await query.processAllAvailable()
    const total = 'continuous' in trigger ? 2 * ROWS : ROWS
    expect(await mill.table(`parquet${Object.keys(trigger)[0]}`).collect()).toEqual([
      { rows: total, all: (total * (total - 1)) / 2 },
    ])
    await query.stop()
  }
})

test('a file that is not whole, or no Parquet, is said, and so is a column of another type', async () => {
  const whole = readFileSync(join(dir, 'a.parquet'))
  for (const [name, bytes] of Object.entries({
    cut: whole.subarray(0, whole.length - 100),
    short: whole.subarray(0, 5),
    text: Buffer.from('{"a":1}\n{"a":2}\n'),
  })) {
    writeFileSync(join(dir, name), bytes)
    const read = mill.read.schema(Item).parquet(join(dir, name)).collect()
    await expect(read, name).rejects.toMatchObject({ code: 'FILE_CORRUPT', message: expect.stringContaining(name) })
  }
  // The footer is there, and pages are not what they were.
  const spoiled = Buffer.from(whole)
  spoiled.fill(0xff, 4, 4000)
  writeFileSync(join(dir, 'spoiled'), spoiled)
  await expect(mill.read.schema(Item).parquet(join(dir, 'spoiled')).collect()).rejects.toMatchObject({
    code: 'FILE_CORRUPT',
  })
  copyFileSync(join(dir, 'a.parquet'), join(dir, 'other'))
  const wrong = mill.read.schema(t.struct({ x: t.timestamp })).parquet(join(dir, 'other'))
  await expect(wrong.collect()).rejects.toMatchObject({ code: 'PARQUET_TYPE_DIFFERS' })
})
