import { type DataFrame, Millrace, type MillraceError, t } from 'millrace'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

/** Functions that do what no function should: the query that has them ends with the step and the place, everything else goes on. */
const Row = t.struct({ n: t.int })
type Row = t.infer<typeof Row>

let mill: Millrace
beforeAll(async () => {
  mill = await Millrace.open({ workers: 2 })
  await mill.topics.create('poisoned', { partitions: 2, schema: Row })
  await mill.topics.create('healthy', { partitions: 2, schema: Row })
  const messages = Array.from({ length: 200 }, (_, n) => ({ partition: n % 2, value: { n } }))
  await mill.producer().send({ topic: 'poisoned', messages })
})
afterAll(() => mill.close())

const rows = () => mill.readStream.option('startingOffsets', 'earliest').topic('poisoned') as unknown as DataFrame<Row>

async function failureOf(frame: DataFrame<Row>): Promise<MillraceError> {
  const query = await frame.writeStream
    .format('noop')
    .trigger({ continuous: 10 })
    .onError({ retry: { attempts: 1 }, then: 'fail' })
    .start()
  const error = await query.processAllAvailable().catch((found: MillraceError) => found)
  if (error === undefined) throw new Error('the query has gone on')
  return error
}

describe('a query beside it goes on, and its partitions with it', () => {
  test.each([
    [
      'an endless loop',
      'USER_CODE_STUCK',
      'at row 65 of poisoned-1 from offset 0 on',
      () =>
        rows().map(
          (row) => {
            if (row.n === 131) for (;;);
            return row
          },
          { timeout: '1 second' },
        ),
    ],
    [
      'an endless loop behind a promise',
      'USER_CODE_STUCK',
      /poisoned-\d from offset 0 on/,
      () =>
        rows().map(
          async (row) => {
            await Promise.resolve()
            if (row.n === 131) for (;;);
            return row
          },
          { timeout: '1 second' },
        ),
    ],
    [
      'process.exit',
      'USER_CODE_EXIT',
      /a worker/,
      () =>
        rows().map((row) => {
          if (row.n === 131) process.exit(3)
          return row
        }),
    ],
    [
      'a promise that is never kept',
      'USER_CODE_TIMED_OUT',
      /promise/,
      () => rows().filter((row) => row.n !== 131 || new Promise(() => undefined), { timeout: '50 ms' }),
    ],
  ])('%s', async (_what, code, detail, frame) => {
    let seen = 0
    const healthy = await mill.readStream
      .topic('healthy')
      .writeStream.trigger({ continuous: 10 })
      .foreach(() => {
        seen += 1
      })
      .start()
    const error = await failureOf(frame())
    expect(error.code).toBe(code)
    expect(error.detail).toMatch(detail)
    await mill.producer().send({ topic: 'healthy', messages: [0, 1].map((n) => ({ partition: n, value: { n } })) })
    await healthy.processAllAvailable()
    expect(seen).toBeGreaterThanOrEqual(2)
    await healthy.stop()
  })
})
