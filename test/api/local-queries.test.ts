import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { MessageChannel } from 'node:worker_threads'
import { col, type Logger, Millrace, t } from 'millrace'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { EngineSession } from '../../dist/execution/session.js'
import type { Threads } from '../../dist/execution/threads.js'
import { createSharedLogMemory } from '../../dist/log/shared-memory.js'

const Reading = t.struct({ sensor: t.string, celsius: t.int })
const readings = Array.from({ length: 50 }, (_, i) => ({ sensor: `s${i % 7}`, celsius: (i * 37) % 41 }))

/** The names of the queries that the workers were given. */
function started(): { logger: Logger; names: unknown[] } {
  const names: unknown[] = []
  const debug = (fields: object, message?: string) => {
    if (message === 'query started') names.push((fields as { query: unknown }).query)
  }
  const ignore = (): void => undefined
  return { logger: { debug, info: ignore, warn: ignore, error: ignore }, names }
}

/** What the engine thread does for its host. */
interface Ends {
  readonly say: (message: object) => void
  readonly die: (cause: Error) => void
}

const here = started()
const workers = started()
let local: Millrace
let remote: Millrace
beforeAll(async () => {
  local = await Millrace.open({ workers: 1, logger: here.logger })
  remote = await Millrace.open({ workers: 1, logger: workers.logger, localRowsMax: 0 })
})
afterAll(() => Promise.all([local.close(), remote.close()]))

describe('a small query over rows in memory', () => {
  const query = (mill: Millrace) =>
    mill
      .createDataFrame(readings, Reading)
      .filter(col('celsius').gt(20))
      .withColumn('fahrenheit', col('celsius').mul(9).div(5).add(32))
      .orderBy(col('sensor'), col('fahrenheit').desc())

  test('is answered without the workers, with the rows that they give', async () => {
    const before = here.names.length
    const rows = await query(local).collect()
    expect(rows.length).toBeGreaterThan(10)
    expect(await query(remote).collect()).toStrictEqual(rows)
    expect(await query(local).take(3)).toStrictEqual(rows.slice(0, 3))
    expect(await query(local).first()).toStrictEqual(rows[0])
    const seen: unknown[] = []
    const progress: unknown[] = []
    await query(local).foreach((row) => seen.push(row), { onProgress: (p) => progress.push(p) })
    expect(seen).toStrictEqual(rows)
    expect(progress).toEqual([{ inputRows: readings.length }])
    expect(here.names.length).toBe(before)
    expect(workers.names.length).toBe(1)
  })

  test('explain says which of the two it is, in the words of Spark', () => {
    const print = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
    const frame = (mill: Millrace) => mill.createDataFrame(readings, Reading).filter('celsius > 20').limit(5)
    expect(frame(local).explain('simple').split('\n')).toStrictEqual([
      '== Physical Plan ==',
      'Sink [sensor, celsius]',
      '+- Limit 5',
      '   +- Filter (celsius#1 > 20)',
      '      +- LocalTableScan [sensor, celsius]',
    ])
    expect(frame(local).explain('codegen')).toContain('interpreted where the query is called')
    expect(frame(remote).explain('codegen')).toMatch(/Scan memory[\s\S]*function rows\(/)
    const many = Array.from({ length: 1001 }, () => readings[0] as (typeof readings)[0])
    expect(local.createDataFrame(many, Reading).filter('celsius > 20').explain('simple')).toContain('Scan memory')
    expect(local.createDataFrame(readings, Reading).groupBy('sensor').count().explain('simple')).not.toContain('Local')
    print.mockRestore()
  })

  test('fails with the error of the workers', async () => {
    const failing = (mill: Millrace) =>
      mill.createDataFrame(readings, Reading).select(col('celsius').div(col('celsius').sub(37)))
    const errors = await Promise.all(
      [local, remote].map((mill) =>
        failing(mill)
          .collect()
          .catch((error: unknown) => error),
      ),
    )
    expect(errors[0]).toMatchObject({ code: 'DIVIDE_BY_ZERO' })
    expect(String(errors[0])).toBe(String(errors[1]))
  })

  test('is refused by an engine that is closed', async () => {
    const mill = await Millrace.open({ workers: 1 })
    const rows = mill.createDataFrame(readings, Reading).filter('celsius > 20')
    await mill.close()
    await expect(rows.collect()).rejects.toMatchObject({ code: 'ENGINE_CLOSED' })
  })

  test('an option says how many rows are few', async () => {
    await expect(Millrace.open({ localRowsMax: -1 })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
    await expect(Millrace.open({ localRowsMax: 1.5 })).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })
})

describe('an engine in memory is open before its thread is up', () => {
  test('a program that opens, asks and closes at once ends well', async () => {
    const program = `
      import { Millrace, t } from ${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)}
      {
        const mill = await Millrace.open()
        const rows = await mill.createDataFrame([{ a: 1 }, { a: 2 }], t.struct({ a: t.int })).filter('a > 1').collect()
        if (rows[0].a !== 2) throw new Error('wrong')
        await mill.close()
      }
      await (await Millrace.open()).close()
      process.stdout.write('done')`
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program])
    expect({ stdout, stderr }).toEqual({ stdout: 'done', stderr: '' })
  })

  const died = { code: 'ENGINE_DIED', detail: 'its file is missing' }
  const refused = { code: 'NO_SPACE', message: 'the disk is full', retriable: false }

  test.each([
    ['dies', (_: Ends) => _.die(new Error('its file is missing')), died],
    ['refuses to start', (_: Ends) => _.say({ type: 'answer', id: -1, error: refused }), { code: 'NO_SPACE' }],
  ])('where its thread %s, whatever is asked says so', async (_, end, expected) => {
    let ends: Ends | undefined
    const { port1, port2 } = new MessageChannel()
    const threads = {
      engine: {
        shared: createSharedLogMemory(64 << 20),
        memoryPort: port1,
        listen: (say: Ends['say'], die: Ends['die']) => {
          ends = { say, die }
        },
        post: () => undefined,
        terminate: () => Promise.resolve(),
      },
      pool: { close: () => Promise.resolve() },
      logTo: () => undefined,
      attachHost: () => undefined,
      startWorkers: () => undefined,
    }
    const options = { workers: 1, fsync: 'never', memoryBudget: 64 << 20 } as const
    const session = await EngineSession.open(options, threads as unknown as Threads)
    const asked = session.log.topics.create('clicks')
    end(ends as unknown as Ends)
    await expect(asked).rejects.toMatchObject(expected)
    await expect(session.log.topics.create('clicks')).rejects.toMatchObject(expected)
    expect(() => session.assertOpen()).toThrow(expect.objectContaining(expected))
    await session.close()
    port2.close()
  })
})
