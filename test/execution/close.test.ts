import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { col, count, Millrace, t } from 'millrace'
import { afterAll, expect, it } from 'vitest'

const Click = t.struct({ page: t.string, n: t.int })
const dir = mkdtempSync(join(tmpdir(), 'millrace-close-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const read = (mill: Millrace) => mill.readStream.option('startingOffsets', 'earliest').topic('clicks', Click)

const send = (mill: Millrace, page: string) =>
  mill.producer().send({ topic: 'clicks', messages: [{ key: 'k', value: { page, n: 1 } }] })

it('close ends a worker whose task does not return, says which, and leaves a directory that opens again', async () => {
  const mill = await Millrace.open({ dir, workers: 2, closeTimeoutMs: 300 })
  await mill.topics.create('clicks', { partitions: 1, schema: Click })
  // Its steps double with every letter.
  const hung = await read(mill)
    .filter(col('page').rlike('^(a+)+$'))
    .writeStream.queryName('hung')
    .format('noop')
    .start()
  const sound = await read(mill).writeStream.queryName('sound').format('noop').start()
  await send(mill, 'b')
  await Promise.all([hung.processAllAvailable(), sound.processAllAvailable()])
  const ended = expect(hung.awaitTermination()).rejects.toMatchObject({ code: 'CLOSE_TIMED_OUT' })
  await send(mill, `${'a'.repeat(60)}!`)
  const started = performance.now()
  await expect(mill.close()).rejects.toMatchObject({
    code: 'CLOSE_TIMED_OUT',
    detail: expect.stringMatching(/hung: epoch \d+ has not come from task 0\/0 on worker 0/),
    hint: expect.stringContaining('closeTimeoutMs'),
  })
  expect(performance.now() - started).toBeLessThan(10_000)
  await ended
  const again = await Millrace.open({ dir, workers: 1 })
  expect(await again.read.topic('clicks', Click).agg({ rows: count() }).collect()).toEqual([{ rows: 2 }])
  await again.close()
})

it('close does not wait for ever for a foreachBatch that never returns', async () => {
  const mill = await Millrace.open({ workers: 1, closeTimeoutMs: 200 })
  await mill.topics.create('clicks', { partitions: 1, schema: Click })
  let called = (): void => undefined
  const inside = new Promise<void>((resolve) => {
    called = resolve
  })
  await read(mill)
    .writeStream.queryName('stuck')
    .foreachBatch(() => {
      called()
      return new Promise(() => undefined)
    })
    .start()
  await send(mill, '/a')
  await inside
  await expect(mill.close()).rejects.toMatchObject({
    code: 'CLOSE_TIMED_OUT',
    detail: expect.stringContaining('stuck: its sink has not returned from epoch 0'),
  })
})

it('close in the middle of processAllAvailable, of a start and of a send ends all of them', async () => {
  const mill = await Millrace.open({ workers: 2 })
  await mill.topics.create('clicks', { partitions: 2, schema: Click })
  const query = await read(mill).writeStream.format('noop').trigger({ continuous: '1 hour' }).start()
  const outcomes = Promise.allSettled([
    send(mill, '/a').then(() => query.processAllAvailable()),
    read(mill).writeStream.format('noop').start(),
    query.awaitTermination(),
    mill.close(),
  ])
  const [, , ended, closed] = await outcomes
  expect(ended).toMatchObject({ status: 'fulfilled' })
  expect(closed).toMatchObject({ status: 'fulfilled' })
  for (const outcome of await outcomes) {
    if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'ENGINE_CLOSED' })
  }
  await expect(query.stop()).resolves.toBeUndefined()
})
