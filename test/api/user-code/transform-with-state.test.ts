import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { col, type DataFrame, fromModule, Millrace, type MillraceError, type StatefulProcessor, t } from 'millrace'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

/** transformWithState apart from the law of its modes (test/execution/law-of-states.test.ts): what a processor may do, and what is said where it may not. */
const Event = t.struct({ user: t.string.nullable(), ts: t.timestamp, n: t.int })
type Event = t.infer<typeof Event>
const Total = t.struct({ user: t.string.nullable(), total: t.int })
const outputSchema = Total
const processors = new URL('processors.mjs', import.meta.url)
const totals = fromModule(processors, 'Totals')

let mill: Millrace
beforeAll(async () => {
  mill = await Millrace.open({ workers: 2 })
})
afterAll(() => mill.close())

const events: readonly Event[] = [
  { user: 'ann', ts: 1000, n: 1 },
  { user: 'bob', ts: 2000, n: 10 },
  { user: null, ts: 2500, n: 100 },
  { user: 'ann', ts: 3000, n: 2 },
]
const input = (rows: readonly Event[] = events): DataFrame<Event> =>
  mill.createDataFrame(rows, Event).withWatermark('ts', '0 seconds')

const refusal = (make: () => unknown): MillraceError => {
  try {
    make()
  } catch (error) {
    return error as MillraceError
  }
  throw new Error('it was not refused')
}

type OfUser = StatefulProcessor<Event, { user: string | null }, t.input<typeof Total>>
const sorted = (rows: readonly t.infer<typeof Total>[]): string[] =>
  rows.map(({ user, total }) => `${user} ${total}`).sort()

describe('a processor', () => {
  test('is a class of a module, and keeps a state for each key, null among them', async () => {
    const out = input().groupBy('user').transformWithState(totals, { outputSchema, timeMode: 'event' })
    expect(sorted(await out.collect())).toEqual(['ann 1', 'ann 3', 'bob 10', 'null 100'])
  })

  test('is an object whose methods stand by themselves, or a function that gives one', async () => {
    const inline: OfUser = {
      handleInputRows(key, rows) {
        return rows.map(({ n }) => ({ user: key.user, total: n }))
      },
    }
    const made = (): OfUser => ({
      *handleInputRows(key, rows) {
        for (const { n } of rows) yield { user: key.user, total: n }
      },
    })
    for (const one of [inline, made]) {
      const out = input().groupBy('user').transformWithState(one, { outputSchema })
      expect(sorted(await out.collect())).toEqual(['ann 1', 'ann 2', 'bob 10', 'null 100'])
    }
  })

  test('may be given computed keys of several types, under their names', async () => {
    const echo: StatefulProcessor<Event, { many: boolean; n: number }, t.input<typeof Total>> = {
      handleInputRows: (key, rows) => [{ user: `${Object.keys(key)} ${key.many}`, total: key.n * rows.length }],
    }
    const keys = [col('n').gt(1).as('many'), 'n'] as const
    const out = input()
      .groupBy(...keys)
      .transformWithState(echo as never, { outputSchema })
    expect(sorted(await out.collect())).toEqual([
      'many,n false 1',
      'many,n true 10',
      'many,n true 100',
      'many,n true 2',
    ])
  })

  test('is given rows of an initial state first, once for each', async () => {
    const Before = t.struct({ who: t.string, before: t.int })
    const before = mill.createDataFrame(
      [
        { who: 'ann', before: 1000 },
        { who: 'eve', before: 5 },
      ],
      Before,
    )
    const out = input()
      .groupBy('user')
      .transformWithState(totals, { outputSchema, timeMode: 'event', initialState: before.groupBy('who') })
    expect(sorted(await out.collect())).toEqual(['ann 1001', 'ann 1003', 'bob 10', 'null 100'])
    expect(out.explain('simple')).toMatch(
      /TransformWithState Totals from processors.mjs by \[user\], time event, .*initial/,
    )
  })

  test('takes copies in and gives copies out', async () => {
    const keeper = ({ t }: { t: typeof import('millrace').t }): OfUser => {
      let list: import('millrace').ValueState<number[]>
      return {
        init(handle) {
          list = handle.getValueState('list', t.array(t.int))
        },
        handleInputRows(key) {
          const put = list.get() ?? [1]
          list.update(put)
          put.push(2)
          list.get()?.push(3)
          return [{ user: key.user, total: list.get()?.length ?? 0 }]
        },
      }
    }
    const out = input().groupBy('user').transformWithState(keeper, { outputSchema, timeMode: 'event' })
    expect(sorted(await out.collect())).toEqual(['ann 1', 'ann 1', 'bob 1', 'null 1'])
  })
})

describe('what a processor may not do', () => {
  const cases: readonly (readonly [string, 'none' | 'event' | 'processing', () => OfUser])[] = [
    ['TIMER_NOT_ALLOWED', 'none', () => ({ handleInputRows: (_key, _rows, timers) => timers.registerTimer(1) })],
    ['TIMER_NOT_ALLOWED', 'event', () => ({ init: (h) => h.registerTimer(1), handleInputRows() {} })],
    [
      'TIMER_IN_PAST',
      'event',
      () => ({ handleInputRows: (_key, rows, timers) => timers.registerTimer(rows[0]?.ts ?? 0) }),
    ],
    ['TIMER_INVALID', 'event', () => ({ handleInputRows: (_key, _rows, timers) => timers.registerTimer(Number.NaN) })],
    [
      'STATE_TTL_NOT_ALLOWED',
      'event',
      () => ({ init: (h) => void h.getValueState('a', 'int', '1 hour'), handleInputRows() {} }),
    ],
    ['STATE_NAME_INVALID', 'none', () => ({ init: (h) => void h.getValueState('__a', 'int'), handleInputRows() {} })],
    [
      'STATE_DECLARED_TWICE',
      'none',
      () => ({
        init(h) {
          h.getValueState('a', 'int')
          h.getListState('a', 'int')
        },
        handleInputRows() {},
      }),
    ],
    [
      'STATE_WITHOUT_KEY',
      'none',
      () => ({ init: (h) => void h.getValueState('a', 'int').get(), handleInputRows() {} }),
    ],
    [
      'STATE_NOT_DECLARED',
      'none',
      () => {
        let handle: import('millrace').StatefulProcessorHandle
        return {
          init(h) {
            handle = h
          },
          handleInputRows: () => void handle.getValueState('a', 'int'),
        }
      },
    ],
    [
      'RECORD_INVALID',
      'none',
      () => {
        let state: import('millrace').ValueState<unknown>
        return {
          init(h) {
            state = h.getValueState('a', 'int')
          },
          handleInputRows: () => state.update('text'),
        }
      },
    ],
    ['USER_CODE_RESULT', 'none', () => ({ handleInputRows: (async () => []) as never })],
    [
      'USER_CODE_FAILED',
      'none',
      () => ({
        handleInputRows: () => {
          throw new Error('no')
        },
      }),
    ],
  ]
  test.each(cases)('%s, by time %s', async (code, timeMode, processor) => {
    const out = input().groupBy('user').transformWithState(processor, { outputSchema, timeMode })
    await expect(out.collect()).rejects.toMatchObject({ code })
  })

  test('the key at which it failed is said', async () => {
    const thrower = (): OfUser => ({
      handleInputRows(key) {
        if (key.user === 'bob') throw new Error('not bob')
        return []
      },
    })
    const out = input().groupBy('user').transformWithState(thrower, { outputSchema })
    await expect(out.collect()).rejects.toMatchObject({
      code: 'USER_CODE_FAILED',
      detail: expect.stringContaining('key {"user":"bob"}'),
    })
  })

  test('an endless loop ends its own query, and the host survives', async () => {
    const endless = (): OfUser => ({
      handleInputRows() {
        for (;;);
      },
    })
    const out = input().groupBy('user').transformWithState(endless, { outputSchema, timeout: '200 milliseconds' })
    await expect(out.collect()).rejects.toMatchObject({ code: 'USER_CODE_STUCK' })
    const after = input().groupBy('user').transformWithState(totals, { outputSchema })
    expect((await after.collect()).length).toBeGreaterThan(0)
  })

  test('what is wrong where it is written is refused there', () => {
    const grouped = input().groupBy('user')
    const of = (given: unknown, options: unknown): string =>
      refusal(() => grouped.transformWithState(given as never, options as never)).code
    expect(of({}, { outputSchema })).toBe('PROCESSOR_INVALID')
    expect(of(totals, {})).toBe('SCHEMA_EXPECTED')
    expect(of(totals, undefined)).toBe('INVALID_ARGUMENT')
    expect(of(totals, { outputSchema, timeMode: 'noon' })).toBe('INVALID_OPTION')
    expect(of(totals, { outputSchema, order: 'eventTime' })).toBe('INVALID_OPTION')
    expect(of(totals, { outputSchema, initialState: input() })).toBe('INVALID_ARGUMENT')
    expect(of(totals, { outputSchema, initialState: input().groupBy('n') })).toBe('INITIAL_STATE_KEYS')
    expect(of({ handleInputRows() {}, total: 0 }, { outputSchema })).toBe('USER_CODE_NOT_SELF_CONTAINED')
    const noTime = mill.createDataFrame(events, Event).groupBy('user')
    expect(refusal(() => noTime.transformWithState(totals, { outputSchema, timeMode: 'event' })).code).toBe(
      'UNSUPPORTED_OPERATION',
    )
    const all = refusal(() => input().groupBy().transformWithState(totals, { outputSchema }))
    expect(all.code).toBe('UNSUPPORTED_OPERATION')
  })

  test('a module that exports no processor is said when the query starts', async () => {
    for (const [name, code] of [
      ['nothing', 'PROCESSOR_INVALID'],
      ['absent', 'USER_FUNCTION_NOT_FOUND'],
    ] as const) {
      const out = input().groupBy('user').transformWithState(fromModule(processors, name), { outputSchema })
      await expect(out.collect()).rejects.toMatchObject({ code })
    }
  })
})

const summing = ({ t }: { t: typeof import('millrace').t }): OfUser => {
  let total: import('millrace').ValueState<number>
  return {
    init(handle) {
      total = handle.getValueState('total', t.int)
    },
    handleInputRows(key, rows) {
      for (const { n } of rows) {
        total.update((total.get() ?? 0) + n)
        if (n === 7) throw new Error('seven')
      }
      return [{ user: key.user, total: total.get() ?? 0 }]
    },
  }
}

test('by a failure policy a call that fails is as if it had not been, and its row is left out', async () => {
  const rows = [1, 7, 2, 7, 4].map((n, i): Event => ({ user: 'ann', ts: i * 100, n }))
  const out = input(rows).groupBy('user').transformWithState(summing, { outputSchema, timeMode: 'event' })
  const got: t.infer<typeof Total>[] = []
  await out.foreach((row) => void got.push(row), { onError: { retry: { attempts: 2, backoff: '1 ms' }, then: 'skip' } })
  expect(sorted(got)).toEqual(['ann 1', 'ann 3', 'ann 7'])
  // Rows that are given together are looked at one by one.
  const together: t.infer<typeof Total>[] = []
  const asTheyCome = input(rows).groupBy('user').transformWithState(summing, { outputSchema })
  await asTheyCome.foreach((row) => void together.push(row), { onError: { then: 'skip' } })
  expect(sorted(together)).toEqual(['ann 1', 'ann 3', 'ann 7'])
})

test('in a stream of topics a call that fails is a dead letter where nothing else is said, and the key goes on', async () => {
  await mill.topics.create('sevens', { schema: Event })
  const messages = [1, 7, 2].map((n, i) => ({ value: { user: 'ann', ts: i * 100, n } }))
  await mill.producer().send({ topic: 'sevens', messages })
  const got: t.infer<typeof Total>[] = []
  const query = await mill.readStream
    .option('startingOffsets', 'earliest')
    .topic<Event>('sevens')
    .groupBy('user')
    .transformWithState(summing, { outputSchema })
    .writeStream.trigger({ availableNow: true })
    .foreach((row) => void got.push(row))
    .start()
  await query.awaitTermination()
  expect(sorted(got)).toEqual(['ann 1', 'ann 3'])
  const letters = await mill.read.format('log').option('subscribe', 'sevens.dlq').load().collect()
  const values = letters.map(
    (letter) => JSON.parse(String(Buffer.from(letter['value'] as Uint8Array))) as { n: number },
  )
  expect(values.map(({ n }) => n)).toEqual([7])
})

describe('by processing time', () => {
  const alarm = ({ t }: { t: typeof import('millrace').t }): OfUser => {
    let seen: import('millrace').ValueState<number>
    let kept: import('millrace').MapState<string, number>
    return {
      init(handle) {
        seen = handle.getValueState('seen', t.int)
        kept = handle.getMapState('kept', t.string, t.int, '30 milliseconds')
      },
      handleInputRows(_key, rows, timers) {
        seen.update((seen.get() ?? 0) + rows.length)
        kept.updateValue('n', 1)
        timers.registerTimer(timers.getCurrentProcessingTimeInMs() + 60)
      },
      handleExpiredTimer(key) {
        const total = seen.get() ?? 0
        seen.clear()
        return [{ user: key.user, total: kept.containsKey('n') ? -total : total }]
      },
    }
  }

  test.each([{ processingTime: 0 }, { continuous: 5 }])(
    'a timer expires without a row, and what has outlived its time is gone: %o',
    async (trigger) => {
      const topic = `alarms-${JSON.stringify(trigger).replace(/\W/g, '')}`
      await mill.topics.create(topic, { schema: Event })
      const got: t.infer<typeof Total>[] = []
      let heard = (): void => undefined
      const first = new Promise<void>((resolve) => {
        heard = resolve
      })
      const query = await mill.readStream
        .topic<Event>(topic)
        .groupBy('user')
        .transformWithState(alarm, { outputSchema, timeMode: 'processing' })
        .writeStream.trigger(trigger)
        .foreachBatch(async (rows) => {
          got.push(...((await rows.collect()) as t.infer<typeof Total>[]))
          if (got.length > 0) heard()
        })
        .start()
      await mill.producer().send({ topic, messages: [{ value: events[0] as Event }] })
      await first
      await query.stop()
      expect(got).toEqual([{ user: 'ann', total: 1 }])
      // Nothing is left of the key.
      expect(query.lastProgress?.stateOperators[0]).toMatchObject({
        operatorName: 'transformWithStateExec',
        numRowsTotal: 0,
      })
    },
  )

  test('in a batch a timer that is not due at its end does not expire', async () => {
    const out = input().groupBy('user').transformWithState(alarm, { outputSchema, timeMode: 'processing' })
    expect(await out.collect()).toEqual([])
  })
})

test('a checkpoint gives states back, and refuses those that have become others', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-states-'))
  const own = await Millrace.open({ dir, workers: 1, fsync: 'never' })
  try {
    await own.topics.create('e', { schema: Event })
    const producer = own.producer()
    const Before = t.struct({ user: t.string, before: t.int })
    const initialState = own.createDataFrame([{ user: 'ann', before: 1000 }], Before).groupBy('user')
    const run = async (name: string): Promise<string[]> => {
      const got: t.infer<typeof Total>[] = []
      const query = await own.readStream
        .topic<Event>('e')
        .groupBy('user')
        .transformWithState(fromModule(processors, name), {
          outputSchema,
          ...(name === 'Totals' ? { initialState } : {}),
        })
        .writeStream.queryName('totals')
        .trigger({ processingTime: 0 })
        .foreachBatch(async (rows) => void got.push(...((await rows.collect()) as t.infer<typeof Total>[])))
        .start()
      await producer.send({ topic: 'e', messages: [{ value: { user: 'ann', ts: 1, n: 1 } }] })
      await query.processAllAvailable()
      await query.stop()
      return sorted(got)
    }
    expect(await run('Totals')).toEqual(['ann 1001'])
    expect(await run('Totals')).toEqual(['ann 1002'])
    await expect(run('textTotals')).rejects.toMatchObject({
      code: 'STATE_SCHEMA_CHANGED',
      detail: 'the checkpoint has a value int, the processor a value string',
    })
    // What the refused run has sent is still to be read.
    expect((await run('forgetful')).at(-1)).toBe('ann 2')
    expect((await run('forgetful')).at(-1)).toBe('ann 3')
    await expect(run('Totals')).rejects.toMatchObject({ code: 'STATE_SCHEMA_CHANGED' })
  } finally {
    await own.close()
    rmSync(dir, { recursive: true, force: true })
  }
}, 30_000)

test('timeMode and what the rows are grouped by belong to the checkpoint; the output mode is compared', async () => {
  await mill.topics.create('modes-of-states', { schema: Event })
  const stream = mill.readStream.topic<Event>('modes-of-states').groupBy('user')
  const forUpdate = stream.transformWithState(totals, { outputSchema, outputMode: 'update' })
  await expect(forUpdate.writeStream.format('noop').outputMode('append').start()).rejects.toMatchObject({
    code: 'UNSUPPORTED_OPERATION',
  })
  const complete = stream.transformWithState(totals, { outputSchema })
  await expect(complete.writeStream.format('noop').outputMode('complete').start()).rejects.toMatchObject({
    code: 'UNSUPPORTED_OPERATION',
  })
})
