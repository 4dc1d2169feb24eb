import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Millrace, t } from 'millrace'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

const cli = fileURLToPath(new URL('../../dist/cli/millrace.js', import.meta.url))
const Reading = t.struct({ sensor: t.string, celsius: t.double.nullable() })

const made = mkdtempSync(join(tmpdir(), 'millrace-verify-made-'))
let root: string
let dir: string

beforeAll(async () => {
  const mill = await Millrace.open({ dir: made, workers: 1, memoryBudget: 64 * 1024 * 1024 })
  await mill.topics.create('readings', { partitions: 2, schema: Reading })
  await mill.topics.create('raw', { config: { 'compression.type': 'snappy' } })
  const producer = mill.producer()
  for (let i = 0; i < 20; i++) {
    await producer.send({
      topic: 'readings',
      messages: [{ partition: i % 2, key: `s${i}`, value: { sensor: `s${i}`, celsius: i === 3 ? null : i / 2 } }],
    })
    await producer.send({ topic: 'raw', messages: [{ key: `k${i}`, value: `value ${i} `.repeat(30) }] })
  }
  expect(await mill.verify()).toMatchObject({ ok: true, records: 40, damaged: [] })
  await mill.close()
})
afterAll(() => rmSync(made, { recursive: true, force: true }))

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'millrace-verify-'))
  dir = join(root, 'data')
  cpSync(made, dir, { recursive: true })
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const verify = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, 'verify', ...args], { encoding: 'utf8' })
  return { status, stdout, stderr }
}
const report = (...args: string[]) => JSON.parse(verify(...args, '--json').stdout)
const log = (partition: string): string => join(dir, 'log', partition, '00000000000000000000.log')

function flip(path: string, byte: number): void {
  const content = readFileSync(path)
  content[byte] = (content[byte] as number) ^ 0x10
  writeFileSync(path, content)
}

/** Every file with its bytes, but for the lock. */
function contentOf(folder: string): Map<string, string> {
  const files = new Map<string, string>()
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile() && entry.name !== 'lock') files.set(path, readFileSync(path, 'latin1'))
  }
  return files
}

describe('npx millrace verify', () => {
  test('says ok of a directory in which everything is whole, and changes nothing', () => {
    const before = contentOf(dir)
    const { status, stdout } = verify(dir)
    expect(stdout).toMatch(/2 topics, 3 partitions, 3 segments, 40 batches, 40 records/)
    expect(stdout).toMatch(/\nok\n$/)
    expect(status).toBe(0)
    expect(contentOf(dir)).toEqual(before)
  })

  test('reads compressed records where Node cannot require what a codec needs', () => {
    const args = ['--no-experimental-require-module', cli, 'verify', dir, '--json']
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, records: 40 })
  })

  test('names the offsets, file and byte of what is damaged, and everything else counts', () => {
    const size = statSync(log('raw-0')).size
    flip(log('raw-0'), Math.floor(size / 2))
    const { ok, damaged, records } = report(dir)
    expect(ok).toBe(false)
    expect(records).toBe(39)
    expect(damaged).toEqual([
      expect.objectContaining({ topic: 'raw', partition: 0, file: log('raw-0'), reason: expect.stringMatching(/crc/) }),
    ])
    expect(damaged[0].toOffset).toBe(damaged[0].fromOffset + 1)
    const { status, stdout } = verify(dir)
    expect(status).toBe(1)
    expect(stdout).toMatch(/damaged: raw-0, offsets 10 to 10|damaged: raw-0, offsets 9 to 9/)
  })

  test('finds a file that ends before the recovery point, a topic and a transaction log that make no sense, and a torn index', () => {
    truncateSync(log('readings-1'), statSync(log('readings-1')).size - 5)
    writeFileSync(join(dir, 'topics', 'raw.json'), '{')
    writeFileSync(join(dir, 'transactions.log'), 'nonsense')
    writeFileSync(log('readings-0').replace('.log', '.index'), Buffer.alloc(7))
    const { ok, damaged, damagedFiles, warnings } = report(dir)
    expect(ok).toBe(false)
    expect(damaged).toEqual([expect.objectContaining({ topic: 'readings', partition: 1, fromOffset: 9, toOffset: 10 })])
    expect(damagedFiles.map((each: { file: string }) => each.file)).toEqual([
      join(dir, 'topics', 'raw.json'),
      join(dir, 'transactions.log'),
    ])
    expect(warnings).toEqual([expect.stringMatching(/readings-0.*index: 7 bytes/)])
  })

  test('--salvage copies what is whole into a directory that opens, with every offset where it was', async () => {
    flip(log('readings-0'), 300)
    truncateSync(log('raw-0'), statSync(log('raw-0')).size - 5)
    const out = join(root, 'salvaged')
    const { damaged } = report(dir, '--salvage', out)
    expect(damaged).toHaveLength(2)
    expect(report(out)).toMatchObject({ ok: true, records: 38 })
    const mill = await Millrace.open({ dir: out, workers: 1, memoryBudget: 64 * 1024 * 1024 })
    const read = async (topic: string) =>
      (await mill.read.format('log').option('subscribe', topic).load().collect()).map(
        (row) => `${row.partition}:${row.offset}`,
      )
    const lost = damaged.find((each: { topic: string }) => each.topic === 'readings').fromOffset
    const expected = Array.from({ length: 20 }, (_, i) => `${i % 2}:${i >> 1}`).filter((each) => each !== `0:${lost}`)
    expect((await read('readings')).sort()).toEqual(expected.sort())
    expect(await read('raw')).toHaveLength(19)
    // The offset that is lost at the end is not given again.
    const [sent] = await mill.producer().send({ topic: 'raw', messages: [{ value: 'new' }] })
    expect(sent).toMatchObject({ baseOffset: 20 })
    expect(await mill.verify()).toMatchObject({ ok: true })
    await mill.close()
  })

  test('refuses a directory that is in use, one that is no engine directory, and a place for salvage that is not empty', async () => {
    const mill = await Millrace.open({ dir, workers: 1, memoryBudget: 64 * 1024 * 1024 })
    expect(verify(dir)).toMatchObject({ status: 2, stderr: expect.stringMatching(/DIRECTORY_IN_USE/) })
    await mill.close()
    expect(verify(join(root, 'nowhere'))).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/NO_ENGINE_DIRECTORY/),
    })
    expect(existsSync(join(root, 'nowhere'))).toBe(false)
    expect(verify(dir, '--salvage', dir)).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/SALVAGE_NOT_EMPTY/),
    })
  })
})

describe('mill.verify()', () => {
  test('finds damage while the engine is open; reads of the range fail with it, and go on behind it', async () => {
    const mill = await Millrace.open({ dir, workers: 1, memoryBudget: 64 * 1024 * 1024 })
    flip(log('raw-0'), 200)
    const { ok, damaged } = await mill.verify()
    expect(ok).toBe(false)
    expect(damaged).toEqual([expect.objectContaining({ topic: 'raw', partition: 0 })])
    const [range] = damaged
    await expect(mill.read.format('log').option('subscribe', 'raw').load().collect()).rejects.toThrow(
      new RegExp(`offsets ${range?.fromOffset} to ${(range?.toOffset ?? 0) - 1} of raw-0 are damaged`),
    )
    const behind = JSON.stringify({ raw: { 0: range?.toOffset } })
    const rows = await mill.read
      .format('log')
      .option('subscribe', 'raw')
      .option('startingOffsets', behind)
      .load()
      .collect()
    expect(rows).toHaveLength(20 - (range?.toOffset ?? 0))
    await mill.close()
  })
})
