import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MillraceError } from '../../dist/common/errors.js'
import { runLocally, runsLocally } from '../../dist/execution/local-run.js'
import { EngineSession } from '../../dist/execution/session.js'
import { bindCall } from '../../src/plan/functions.js'
import type { HeadOperator, NarrowOperator, PhysicalPlan, Stage } from '../../src/plan/physical-plan.js'
import { isOrderable } from '../../src/plan/type-rules.js'
import { type BlockRef, viewsOf } from '../../src/types/block.js'
import { BlockBuilder } from '../../src/types/block-builder.js'
import { readValues } from '../../src/types/block-reader.js'
import { columnSlots, type StructType, scalar, structType } from '../../src/types/data-type.js'
import { expressions, schema } from '../codegen/expressions.js'
import { blockOf, input, mixedRows, operators } from '../codegen/stages.js'

/** Small queries are evaluated where they are called: nobody can tell by their results. MILLRACE_RUNS=2000 for a long search. */
const numRuns = Number(process.env['MILLRACE_RUNS'] ?? 25)

let session: EngineSession
beforeAll(async () => {
  session = await EngineSession.open({ workers: 2, fsync: 'never', memoryBudget: 64 << 20 })
})
afterAll(() => session.close())

type Outcome =
  | { readonly rows: readonly unknown[] }
  | { readonly code: string; readonly message: string; readonly hint: string | undefined; readonly cause: unknown }

async function outcome(
  of: StructType,
  run: (take: (block: BlockRef) => void) => void | Promise<void>,
): Promise<Outcome> {
  const rows: unknown[] = []
  try {
    await run((block) => void rows.push(...readValues(of, block)))
    return { rows }
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error
    const { code, summary, hint, cause } = error
    return { code, message: summary, hint, cause: cause instanceof MillraceError ? cause.summary : cause }
  }
}

async function byWorkers(
  plan: PhysicalPlan,
  blocks: readonly BlockRef[],
  take: (block: BlockRef) => void,
): Promise<void> {
  const handle = await session.start({
    name: 'q',
    plan,
    tables: new Map([['rows', blocks]]),
    mode: { kind: 'batch' },
    sink: { kind: 'host', sink: { rows: take }, description: 'CollectSink' },
    options: {},
  })
  await handle.awaitTermination()
}

async function expectSame(plan: PhysicalPlan, blocks: readonly BlockRef[]): Promise<Outcome> {
  expect(runsLocally(plan, blocks, 1000)).toBe(true)
  const local = await outcome(plan.schema, (take) => runLocally({ name: 'q', plan, blocks }, take))
  expect(local).toStrictEqual(await outcome(plan.schema, (take) => byWorkers(plan, blocks, take)))
  return local
}

interface Part {
  readonly head?: HeadOperator
  readonly pipeline: readonly NarrowOperator[]
}

function planOf(ansi: boolean, rowSchema: StructType, parts: readonly Part[], result = rowSchema): PhysicalPlan {
  const stages = parts.map((part, id): Stage => {
    const isLast = id === parts.length - 1
    return {
      id,
      ...part,
      input:
        id === 0
          ? {
              kind: 'scan',
              source: { format: 'memory', streaming: false, schema: rowSchema, tableId: 'rows', options: {} },
              schema: rowSchema,
              fields: rowSchema.fields.map((_, i) => i),
              pushedFilters: [],
            }
          : { kind: 'exchange', from: [id - 1], schema: rowSchema },
      output: { kind: isLast ? 'sink' : 'exchange', schema: isLast ? result : rowSchema },
      parallelism: id === 0 ? 'parallel' : 'single',
    }
  })
  return {
    stages,
    schema: result,
    broadcasts: [],
    groupingFields: [],
    outputMode: 'append',
    streaming: false,
    ansi,
    stateSignature: '',
  }
}

const count = fc.nat(30)

function sorts(ansi: boolean): fc.Arbitrary<HeadOperator> {
  const columns = columnSlots(schema).filter((slot) => isOrderable(slot.type))
  const value = fc.oneof(
    fc.constantFrom(...columns).map((slot) => input(slot.index)),
    expressions(ansi).map((e) => (isOrderable(e.type) ? e : bindCall('isNull', [e], ansi))),
  )
  const key = fc.record({ value, descending: fc.boolean(), nullsFirst: fc.boolean() })
  return fc
    .tuple(fc.array(key, { minLength: 1, maxLength: 2 }), fc.option(count, { nil: undefined }))
    .map(([keys, limit]) => ({ op: 'sort', schema, keys, ...(limit === undefined ? {} : { limit }) }))
}

describe.each([true, false])('with ansi %s', (ansi) => {
  test('rows, their order and errors are those of the workers', async () => {
    const limits = count.map((n): HeadOperator => ({ op: 'limit', schema, count: n }))
    const later = fc.record({ head: fc.oneof(limits, sorts(ansi)), pipeline: operators(ansi) })
    const parts = fc.tuple(operators(ansi), fc.array(later, { maxLength: 2 }))
    await fc.assert(
      fc.asyncProperty(parts, fc.array(mixedRows(20), { maxLength: 3 }), async ([pipeline, heads], tables) => {
        const blocks = tables.filter((rows) => rows.length > 0).map((rows) => shared(blockOf(rows, false)))
        await expectSame(planOf(ansi, schema, [{ pipeline }, ...heads]), blocks)
      }),
      { numRuns },
    )
  }, 60_000)
})

const texts = structType([
  { name: 'text', type: scalar('string'), nullable: false },
  { name: 'n', type: scalar('int'), nullable: false },
])

function textRows(...rows: readonly (readonly [text: string, n: number])[]): BlockRef {
  const builder = new BlockBuilder(texts)
  for (const row of rows) builder.append(row)
  return builder.toBlock()
}

test('a row that could not travel between threads is refused here as well', async () => {
  const text = { kind: 'input', slot: 0, type: scalar('string'), nullable: false } as const
  const n = { kind: 'input', slot: 1, type: scalar('int'), nullable: false } as const
  const long: NarrowOperator = {
    op: 'project',
    columns: [bindCall('repeat', [text, n], true), n],
    schema: texts,
  }
  const blocks = [textRows(['ab', 5], ['ab', 3_000_000])]
  expect(await expectSame(planOf(true, texts, [{ pipeline: [long] }]), blocks)).toMatchObject({ code: 'ROW_TOO_LARGE' })
})

test('what the caller throws has the words of a sink that throws', async () => {
  const plan = planOf(true, texts, [{ pipeline: [] }])
  const blocks = [textRows(['a', 1])]
  const fail = (): never => {
    throw new TypeError('not today')
  }
  const local = await outcome(texts, () => runLocally({ name: 'q', plan, blocks }, fail))
  expect(local).toMatchObject({ code: 'SINK_FAILED' })
  expect(local).toStrictEqual(await outcome(texts, () => byWorkers(plan, blocks, fail)))
})

test('many rows, large rows, aggregates and several inputs are for the workers', () => {
  const plan = planOf(true, texts, [{ pipeline: [] }])
  const rows = (count: number, length = 1) =>
    textRows(...Array.from({ length: count }, (): [string, number] => ['x'.repeat(length), 1]))
  expect(runsLocally(plan, [rows(1000)], 1000)).toBe(true)
  expect(runsLocally(plan, [rows(500), rows(501)], 1000)).toBe(false)
  expect(runsLocally(plan, [rows(10, 200_000)], 1000)).toBe(false)
  expect(runsLocally(plan, [], 1000)).toBe(true)
  expect(runsLocally(plan, [], 0)).toBe(false)
  expect(runsLocally({ ...plan, streaming: true }, [rows(1)], 1000)).toBe(false)
  const [scan] = plan.stages as [Stage]
  expect(runsLocally({ ...plan, stages: [scan, { ...scan, id: 1 }] }, [rows(1)], 1000)).toBe(false)
})

function shared({ views, position }: BlockRef): BlockRef {
  const buffer = new SharedArrayBuffer(views.u8.byteLength)
  const copy = viewsOf(buffer)
  copy.u8.set(views.u8)
  return { views: copy, position }
}
