import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { count, Millrace, t } from 'millrace'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { refusal } from './refusal.js'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-input-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const Click = t.struct({ page: t.string, n: t.long })
const root = fileURLToPath(new URL('../..', import.meta.url))
const open = (): Promise<Millrace> => Millrace.open({ dir, workers: 1 })

/** Another process with this program, which may speak of `dir`. Its output as it comes, and its end. */
function child(program: string) {
  const started = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd: root,
    env: { ...process.env, DIR: dir },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let text = ''
  started.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part
  })
  return { started, text: () => text, closed: once(started, 'close') }
}

/** Directories that several tests begin with, each made once. */
const made = mkdtempSync(join(tmpdir(), 'millrace-input-made-'))
afterAll(() => rmSync(made, { recursive: true, force: true }))

/** `dir` with what `make` leaves there. */
async function begun(name: string, make: () => Promise<void>): Promise<void> {
  const copy = join(made, name)
  if (existsSync(copy)) return cpSync(copy, dir, { recursive: true })
  await make()
  cpSync(dir, copy, { recursive: true })
}

/** Sends of 20 records to each of two partitions one by one, so that each is a record batch. */
const filled = (): Promise<void> => begun('filled', fill)

async function fill(): Promise<void> {
  const mill = await open()
  await mill.topics.create('clicks', { partitions: 2, schema: Click })
  const producer = mill.producer()
  for (let n = 0; n < 20; n++) {
    await producer.send({
      topic: 'clicks',
      messages: [0, 1].map((partition) => ({ partition, value: { page: `/${'x'.repeat(40)}`, n } })),
    })
  }
  await mill.close()
}

/** Turns one bit over at a part of the file, 0 at its start and 1 at its end. */
function flip(path: string, part: number): void {
  const content = readFileSync(path)
  const at = Math.floor(content.length * part)
  content[at] = (content[at] as number) ^ 0x10
  writeFileSync(path, content)
}

describe('the directory', () => {
  test('in use by another process: its pid is named, and it goes on', async () => {
    const holder = child(`
      import { Millrace } from 'millrace'
      const mill = await Millrace.open({ dir: process.env.DIR, workers: 1 })
      await mill.topics.create('held')
      console.log('open')
      process.stdin.once('data', async () => {
        await mill.producer().send({ topic: 'held', messages: [{ value: 'x' }] })
        await mill.close()
        console.log('closed')
        process.exit()
      })`)
    await Promise.race([once(holder.started.stdout, 'data'), holder.closed])
    const error = await refusal(open)
    expect(error.code).toBe('DIRECTORY_IN_USE')
    expect(error.detail).toContain(`process ${holder.started.pid} `)
    holder.started.stdin.end('go\n')
    await holder.closed
    expect(holder.text()).toContain('closed')
    const mill = await open()
    expect(mill.topics.list().map((topic) => topic.name)).toEqual(['held'])
    await mill.close()
  })

  test('in use by this process', async () => {
    const mill = await open()
    expect((await refusal(open)).detail).toContain(`process ${process.pid} `)
    await mill.close()
    await (await open()).close()
  })

  test('a file stands in its place, or in the place of its parent', async () => {
    const path = join(dir, 'file')
    writeFileSync(path, 'mine')
    for (const at of [path, join(path, 'data')]) {
      const error = await refusal(() => Millrace.open({ dir: at, workers: 1 }))
      expect(error.code).toBe('DIRECTORY_NOT_WRITABLE')
      expect(error.summary).toContain(at)
    }
    expect(readFileSync(path, 'utf8')).toBe('mine')
  })

  // Root may write everywhere, so a root asks as somebody else; the engine's own files must be readable for that one.
  // The process becomes that user by itself: the node it runs may lie in a folder that only root may enter.
  const other = process.getuid?.() === 0 ? 65_534 : undefined
  test.skipIf(other !== undefined && !readableByOthers(root))('without the right to write', async () => {
    const closed = join(dir, 'closed')
    mkdirSync(closed)
    chmodSync(closed, 0o555)
    chmodSync(dir, 0o755)
    for (const path of [closed, join(closed, 'data')]) {
      const asker = child(
        `
        import { Millrace } from 'millrace'
        ${other === undefined ? '' : `process.setgid(${other}); process.setuid(${other})`}
        try { await Millrace.open({ dir: ${JSON.stringify(path)}, workers: 1 }) }
        catch (error) { console.log(JSON.stringify([error.code, error.summary, error.detail, error.hint])) }`,
      )
      await asker.closed
      const [code, summary, detail, hint] = JSON.parse(asker.text()) as string[]
      expect(code).toBe('DIRECTORY_NOT_WRITABLE')
      expect(summary).toContain(path)
      expect(detail).toContain('EACCES')
      expect(hint).toContain('right to write')
    }
  })

  test('made by a newer version: refused, and left as it is', async () => {
    await filled()
    writeFileSync(join(dir, 'format.json'), '{"version":99}\n')
    const before = readdirSync(dir, { recursive: true }).sort()
    const error = await refusal(open)
    expect(error.code).toBe('FORMAT_TOO_NEW')
    expect(error.detail).toContain('99')
    expect(readdirSync(dir, { recursive: true }).sort()).toEqual(before)
    writeFileSync(join(dir, 'format.json'), 'x')
    expect((await refusal(open)).code).toBe('FORMAT_UNREADABLE')
    writeFileSync(join(dir, 'format.json'), '{"version":1}\n')
    await (await open()).close()
  })

  test("a topic's file that is no description", async () => {
    await filled()
    writeFileSync(join(dir, 'topics', 'clicks.json'), '{"name":')
    const error = await refusal(open)
    expect(error.code).toBe('TOPIC_FILE_CORRUPT')
    expect(error.summary).toContain('clicks.json')
  })
})

describe('a segment with a damaged byte below the recovery point', () => {
  const partitionDir = () => join(dir, 'log', 'clicks-0')
  const segment = () => join(partitionDir(), '00000000000000000000.log')

  test('its offsets are named, nothing is deleted, the other partitions are read', async () => {
    await filled()
    const bytes = statSync(segment()).size
    flip(segment(), 0.52)
    const mill = await open()
    const error = await refusal(() => mill.read.topic('clicks').collect())
    expect(error.code).toBe('SEGMENT_CORRUPT')
    expect(`${error.summary} ${error.detail}`).toMatch(/clicks-0/)
    expect(error.message).toMatch(/offset/)
    expect(statSync(segment()).size).toBe(bytes)

    const whole = mill.read.option('startingOffsets', { clicks: { 0: 20, 1: 0 } }).topic('clicks')
    expect(await whole.count()).toBe(20)
    const before = mill.read
      .option('startingOffsets', { clicks: { 0: 0, 1: 20 } })
      .option('endingOffsets', { clicks: { 0: 9, 1: 20 } })
      .topic('clicks')
    expect(await before.count()).toBe(9)
    const after = mill.read.option('startingOffsets', { clicks: { 0: 12, 1: 20 } }).topic('clicks')
    expect(await after.count()).toBe(8)
    await mill.producer().send({ topic: 'clicks', messages: [{ partition: 1, value: { page: '/', n: 20 } }] })
    await mill.close()
    expect(statSync(segment()).size).toBeGreaterThanOrEqual(bytes)
  })

  test('a consumer and a query are told, and neither hangs', async () => {
    await filled()
    flip(segment(), 0.52)
    const mill = await open()
    const consumer = mill.consumer({ groupId: 'g' })
    await consumer.subscribe({ topics: ['clicks'], fromBeginning: true })
    const loop = async () => {
      for await (const record of consumer) expect(record.topic).toBe('clicks')
    }
    expect((await refusal(loop)).code).toBe('SEGMENT_CORRUPT')
    const query = await mill.readStream
      .option('startingOffsets', 'earliest')
      .topic('clicks')
      .writeStream.format('noop')
      .start()
    expect((await refusal(() => query.processAllAvailable())).code).toBe('SEGMENT_CORRUPT')
    await mill.close()
  })

  test('a segment that is gone', async () => {
    await filled()
    rmSync(segment())
    const mill = await open().catch((error: unknown) => error)
    const error = mill instanceof Millrace ? await refusal(() => mill.read.topic('clicks').collect()) : mill
    expect(error).toMatchObject({ code: 'SEGMENT_MISSING' })
    if (mill instanceof Millrace) await mill.close()
  })
})

describe('a checkpoint', () => {
  const epochs = () => join(dir, 'checkpoints', 'counts', 'epochs.log')
  const counts = (mill: Millrace, topic = 'clicks') =>
    mill.readStream
      .option('startingOffsets', 'earliest')
      .topic(topic)
      .groupBy('page')
      .agg({ n: count() })
      .writeStream.queryName('counts')
      .outputMode('update')
      .format('noop')

  /** A few epochs, each with its commit. */
  const ran = (): Promise<void> => begun('ran', run)

  async function run(): Promise<void> {
    const mill = await open()
    await mill.topics.create('clicks', { schema: Click })
    for (let n = 0; n < 4; n++) {
      await mill.producer().send({ topic: 'clicks', messages: [{ value: { page: `/${n}`, n } }] })
      const query = await counts(mill).start()
      await query.processAllAvailable()
      await query.stop()
    }
    await mill.close()
  }

  test('damaged before what was relied on: refused, nothing is cut', async () => {
    await ran()
    const bytes = readFileSync(epochs())
    flip(epochs(), 0.3)
    const damaged = readFileSync(epochs())
    const mill = await open()
    const error = await refusal(() => counts(mill).start())
    expect(error.code).toBe('CHECKPOINT_CORRUPT')
    expect(error.summary).toContain('epochs.log')
    expect(readFileSync(epochs()).equals(damaged)).toBe(true)
    writeFileSync(epochs(), bytes)
    const query = await counts(mill).start()
    await query.stop()
    await mill.close()
  })

  test('with a torn tail goes on', async () => {
    await ran()
    const bytes = readFileSync(epochs())
    writeFileSync(epochs(), Buffer.concat([bytes, bytes.subarray(8, 40)]))
    const mill = await open()
    const query = await counts(mill).start()
    await query.processAllAvailable()
    await query.stop()
    await mill.close()
  })

  test('that is no checkpoint', async () => {
    await ran()
    writeFileSync(epochs(), 'a letter to my aunt')
    const mill = await open()
    expect((await refusal(() => counts(mill).start())).code).toBe('CHECKPOINT_CORRUPT')
    expect(readFileSync(epochs(), 'utf8')).toBe('a letter to my aunt')
    await mill.close()
  })

  test('of another query, by its state or by its topic', async () => {
    await ran()
    const mill = await open()
    const stateless = mill.readStream.topic('clicks').writeStream.queryName('counts').format('noop')
    const error = await refusal(() => stateless.start())
    expect(error.code).toBe('CHECKPOINT_STATE_MISMATCH')
    expect(error.detail).toContain('the query has no state')
    await mill.topics.create('others', { schema: Click })
    expect((await refusal(() => counts(mill, 'others').start())).code).toMatch(/^CHECKPOINT_/)
    await mill.topics.delete('clicks')
    await mill.topics.create('clicks', { schema: Click })
    expect((await refusal(() => counts(mill).start())).code).toBe('CHECKPOINT_TOPIC_RECREATED')
    await mill.close()
  })

  test('two queries may not share one', async () => {
    const mill = await Millrace.open({ workers: 1 })
    await mill.topics.create('clicks', { schema: Click })
    const start = () =>
      mill.readStream.topic('clicks').writeStream.option('checkpointLocation', join(dir, 'cp')).format('noop').start()
    const query = await start()
    expect((await refusal(start)).code).toBe('CHECKPOINT_IN_USE')
    await query.stop()
    await mill.close()
  })

  test('on disk of a topic that was in memory: refused at the restart', async () => {
    const run = async (wanted?: string) => {
      const mill = await Millrace.open({ workers: 1 })
      await mill.topics.create('clicks', { schema: Click })
      await mill.producer().send({ topic: 'clicks', messages: [{ value: { page: '/', n: 1 } }] })
      const start = () => counts(mill).option('checkpointLocation', join(dir, 'cp')).start()
      if (wanted === undefined) {
        const query = await start()
        await query.processAllAvailable()
        await query.stop()
      } else {
        const error = await refusal(start)
        expect(error.code).toBe(wanted)
        expect(error.hint).toContain('memory')
      }
      await mill.close()
    }
    await run()
    await run('CHECKPOINT_TOPIC_RECREATED')
    expect(existsSync(join(dir, 'cp', 'epochs.log'))).toBe(true)
  })
})

function readableByOthers(path: string): boolean {
  return (statSync(path).mode & 0o005) === 0o005
}
