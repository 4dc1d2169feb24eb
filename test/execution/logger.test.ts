import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { col, type Logger, lit, Millrace, t } from 'millrace'
import { Piscina } from 'piscina'
import { afterAll, afterEach, expect, it, vi } from 'vitest'

interface Line {
  readonly level: string
  readonly fields: Record<string, unknown>
  readonly message: string | undefined
}

function collecting(): { logger: Logger; lines: Line[] } {
  const lines: Line[] = []
  const at = (level: string) => (fields: object, message?: string) =>
    void lines.push({ level, fields: fields as Line['fields'], message })
  return { logger: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }, lines }
}

const Click = t.struct({ page: t.string, n: t.int })
const dir = mkdtempSync(join(tmpdir(), 'millrace-logger-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))
afterEach(() => vi.restoreAllMocks())

it('hears of a torn tail that opening has cut', async () => {
  const first = await Millrace.open({ dir, workers: 1 })
  await first.topics.create('clicks', { partitions: 1, schema: Click })
  await first.producer().send({ topic: 'clicks', messages: [{ key: 'a', value: { page: '/a', n: 1 } }] })
  await first.close()
  // A crash: no clean mark, and the head of a batch at the end of the file.
  rmSync(join(dir, 'log', 'clean-shutdown.json'), { force: true })
  appendFileSync(join(dir, 'log', 'clicks-0', '00000000000000000000.log'), Buffer.alloc(40, 1))
  const { logger, lines } = collecting()
  const second = await Millrace.open({ dir, workers: 1, logger })
  await second.close()
  expect(lines).toContainEqual({
    level: 'warn',
    message: 'a torn tail was cut',
    fields: expect.objectContaining({ topic: 'clicks', partition: 0, bytes: 40, reason: expect.any(String) }),
  })
  expect(lines.map((line) => line.message)).toEqual(['a torn tail was cut', 'engine opened', 'engine closed'])
})

it('hears of a query that failed and of a worker that died, with their codes', async () => {
  const pools = new Set<Piscina>()
  const run = Piscina.prototype.run
  vi.spyOn(Piscina.prototype, 'run').mockImplementation(function (this: Piscina, ...args) {
    pools.add(this)
    return run.apply(this, args)
  })
  const { logger, lines } = collecting()
  const mill = await Millrace.open({ workers: 1, logger })
  await mill.topics.create('clicks', { partitions: 1, schema: Click })
  const clicks = mill.readStream.topic('clicks', Click)
  const failing = await clicks
    .select(lit(1).div(col('n')).as('x'))
    .writeStream.queryName('failing')
    .format('noop')
    .onError({ then: 'fail' })
    .start()
  const healthy = await clicks.writeStream.queryName('healthy').format('noop').start()
  await mill.producer().send({ topic: 'clicks', messages: [{ key: 'a', value: { page: '/a', n: 0 } }] })
  await expect(failing.awaitTermination()).rejects.toThrow()
  await [...pools][0]?.threads[0]?.terminate()
  await mill.producer().send({ topic: 'clicks', messages: [{ key: 'a', value: { page: '/a', n: 1 } }] })
  await healthy.processAllAvailable()
  await healthy.stop()
  await mill.close()
  const errors = lines.filter((line) => line.level === 'error')
  expect(errors).toContainEqual({
    level: 'error',
    message: 'query failed',
    fields: expect.objectContaining({ query: 'failing', code: 'DIVIDE_BY_ZERO', hint: expect.any(String) }),
  })
  expect(errors).toContainEqual({
    level: 'error',
    message: 'a worker died and is started again',
    fields: expect.objectContaining({ worker: 0, code: 'WORKER_DIED' }),
  })
})

it('a logger that throws changes nothing but a warning', async () => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
  const broken = (): never => {
    throw new Error('full disk')
  }
  const mill = await Millrace.open({ workers: 1, logger: { debug: broken, info: broken, warn: broken, error: broken } })
  expect(await mill.createDataFrame([{ n: 1 }], 'n int').count()).toBe(1)
  await mill.close()
  expect(warn).toHaveBeenCalledTimes(1)
})

it('hears of the first dead letter of a query that nobody has asked for a policy', async () => {
  const { logger, lines } = collecting()
  const mill = await Millrace.open({ workers: 1, logger })
  await mill.topics.create('clicks', { schema: Click })
  const clicks = mill.readStream.option('startingOffsets', 'earliest').topic('clicks', Click)
  const messages = [0, 0, 1].map((n) => ({ key: 'a', value: { page: '/a', n } }))
  await mill.producer().send({ topic: 'clicks', messages })
  const query = await clicks
    .select(lit(1).div(col('n')).as('x'))
    .writeStream.queryName('dividing')
    .format('noop')
    .trigger({ availableNow: true })
    .start()
  await query.awaitTermination()
  await mill.close()
  expect(lines.filter(({ level }) => level === 'warn')).toEqual([
    {
      level: 'warn',
      message: 'a record has failed, and is a dead letter',
      fields: expect.objectContaining({ query: 'dividing', code: 'DIVIDE_BY_ZERO', topic: 'clicks.dlq' }),
    },
  ])
})
