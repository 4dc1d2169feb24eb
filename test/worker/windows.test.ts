import fc from 'fast-check'
import { expect, it } from 'vitest'
import { col, count, countDistinct, max, min, sessionWindow, sum, when, window } from '../../src/api/functions.js'
import type { LogicalPlan } from '../../src/plan/logical-plan.js'
import { scalar, structType } from '../../src/types/data-type.js'
import type { AggregateTask } from '../../src/worker/aggregate-task.js'
import type { BlockDescriptor } from '../../src/worker/protocol.js'
import { mix } from '../codegen/stages.js'
import { scan } from '../plan/plans.js'
import { aggregate, Driver, stream } from './driver.js'

/**
 * Sliding and session windows on tasks: the rows are those of a look at every record and every window, whatever came late for which of them,
 * however the input is cut into epochs, and over restarts with other numbers of tasks.
 */
const schema = structType([
  { name: 'key', type: scalar('string'), nullable: true },
  { name: 'ts', type: scalar('timestamp'), nullable: true },
  { name: 'price', type: scalar('double'), nullable: true },
])
type Event = readonly [key: string | null, ts: number | null, price: number | null]

type Spacing =
  | { readonly kind: 'sliding'; readonly size: number; readonly slide: number; readonly start: number }
  | { readonly kind: 'session'; readonly gap: number | 'by price' }

interface Plan {
  readonly spacing: Spacing
  readonly outputMode: 'append' | 'update' | 'complete'
  readonly delayMs: number
  readonly partitions: number
  /** One life of the query each, ended by an epoch. */
  readonly tasks: readonly number[]
  readonly eager: boolean
  readonly events: readonly Event[]
  readonly seed: number
}

const spacings: fc.Arbitrary<Spacing> = fc.oneof(
  // Few slices a window and many; slides that divide the size and some that do not.
  fc
    .record({
      size: fc.constantFrom(1000, 2000, 3100),
      slide: fc.constantFrom(60, 100, 170, 300, 500, 700, 990),
      start: fc.constantFrom(0, 30, -10),
    })
    .map((s) => ({ kind: 'sliding' as const, ...s })),
  fc.constantFrom<Spacing>(
    { kind: 'session', gap: 150 },
    { kind: 'session', gap: 800 },
    { kind: 'session', gap: 'by price' },
  ),
)

const plans: fc.Arbitrary<Plan> = spacings.chain((spacing) =>
  fc.record({
    spacing: fc.constant(spacing),
    outputMode:
      spacing.kind === 'session'
        ? fc.constantFrom('append' as const, 'append' as const, 'complete' as const)
        : fc.constantFrom('append' as const, 'append' as const, 'update' as const, 'complete' as const),
    delayMs: fc.constantFrom(0, 300, 2500),
    partitions: fc.integer({ min: 1, max: 3 }),
    tasks: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 }),
    eager: fc.boolean(),
    seed: fc.nat(),
    events: fc
      .array(
        fc.tuple(
          fc.constantFrom('a', 'b', 'c', null),
          fc.option(fc.integer({ min: -1500, max: 700 }), { nil: null, freq: 12 }),
          fc.option(fc.integer({ min: 0, max: 9 }), { nil: null }),
        ),
        { maxLength: 90 },
      )
      // Event times go forward, stray back, and leap now and then.
      .map((list) =>
        list.map(
          ([key, ts, price], i): Event => [key, ts === null ? null : 5000 + ts + i * 60 + (i > 60 ? 4000 : 0), price],
        ),
      ),
  }),
)

const gapOf = (gap: number | 'by price', price: number | null): number =>
  gap === 'by price' ? (price === null ? 0 : price > 4 ? 600 : 100) : gap

function query({ spacing, delayMs }: Plan): LogicalPlan {
  const input: LogicalPlan = { op: 'withWatermark', input: scan(true, schema), column: 'ts', delayMs }
  const key =
    spacing.kind === 'sliding'
      ? window('ts', spacing.size, spacing.slide, spacing.start)
      : sessionWindow(
          'ts',
          spacing.gap === 'by price'
            ? when(col('price').gt(4), '600 ms').when(col('price').isNotNull(), '100 milliseconds').otherwise('none')
            : spacing.gap,
        )
  const aggregates = [
    count().as('n'),
    sum('price').as('total'),
    min('price').as('least'),
    max('price').as('most'),
    countDistinct('price').as('prices'),
  ]
  return aggregate(input, [key, col('key')], aggregates)
}

interface Group {
  readonly window: [number, number]
  readonly key: string | null
  readonly events: Event[]
}

/** By the rule: each record by itself, and each window by itself. */
function expectedRows(
  plan: Plan,
  partitions: readonly (readonly Event[])[],
): { rows: Map<string, unknown[]>; late: number } {
  const { spacing, delayMs } = plan
  const groups = new Map<string, Group>()
  const pieces: { key: string | null; start: number; from: number; end: number; event: Event }[] = []
  let late = 0
  for (const events of partitions) {
    let greatest = Number.NEGATIVE_INFINITY
    for (const event of events) {
      const [key, ts, price] = event
      if (ts === null) continue
      const watermark = greatest - delayMs
      greatest = Math.max(greatest, ts)
      if (spacing.kind === 'session') {
        const gap = gapOf(spacing.gap, price)
        if (gap <= 0) continue
        if (ts + gap <= watermark) late += 1
        else pieces.push({ key, start: ts, from: Math.max(ts, watermark + 1), end: ts + gap, event })
        continue
      }
      const { size, slide, start } = spacing
      let counted = false
      for (let w = Math.floor((ts - start) / slide) * slide + start; w + size > ts; w -= slide) {
        if (w + size <= watermark) continue
        counted = true
        const id = JSON.stringify([[w, w + size], key])
        const group = groups.get(id) ?? { window: [w, w + size], key, events: [] }
        groups.set(id, group)
        group.events.push(event)
      }
      if (!counted) late += 1
    }
  }
  // Sessions: what touches is one.
  pieces.sort((a, b) => a.from - b.from)
  const open = new Map<string | null, { group: Group; end: number }>()
  const sessions: Group[] = []
  for (const { key, start, end, from, event } of pieces) {
    let session = open.get(key)
    if (session === undefined || session.end < from) {
      session = { group: { window: [start, end], key, events: [] }, end }
      open.set(key, session)
      sessions.push(session.group)
    }
    session.end = Math.max(session.end, end)
    session.group.window[0] = Math.min(session.group.window[0], start)
    session.group.window[1] = session.end
    session.group.events.push(event)
  }
  for (const group of sessions) groups.set(JSON.stringify([group.window, group.key]), group)
  const rows = [...groups].map(([id, { window: at, key, events }]): [string, unknown[]] => {
    const prices = events.map(([, , price]) => price).filter((price) => price !== null)
    const some = prices.length > 0
    return [
      id,
      [
        at,
        key,
        events.length,
        some ? prices.reduce((a, b) => a + b) : null,
        some ? Math.min(...prices) : null,
        some ? Math.max(...prices) : null,
        new Set(prices).size,
      ],
    ]
  })
  return { rows: new Map(rows), late }
}

const idOf = (row: readonly unknown[]): string => JSON.stringify(row.slice(0, 2))

it('the rows of sliding and session windows are those of every record and every window looked at by itself', () => {
  fc.assert(
    fc.property(plans, (plan) => {
      const { partitions, seed, events } = plan
      let clock = 0
      const chance = (n: number): number => mix(seed, clock++, 17) % n
      const logs = Array.from({ length: partitions }, (): Event[] => [])
      const taken = logs.map(() => 0)
      const found = new Map<string, readonly unknown[]>()
      const changelog: BlockDescriptor[] = []
      const views = new Map<BlockDescriptor, Driver['stateBlocks'][number]['views']>()
      let closedUntil = Number.NEGATIVE_INFINITY
      let late = 0
      let fed = 0
      const physical = stream(query(plan), plan.outputMode)
      plan.tasks.forEach((tasks, life) => {
        const last = life === plan.tasks.length - 1
        const driver = new Driver({
          plan: physical,
          partitions,
          tasks,
          logged: true,
          emitEagerly: plan.eager,
          maxEventTimes: logs.map((log, p) =>
            log
              .slice(0, taken[p])
              .reduce((greatest, [, ts]) => Math.max(greatest, ts ?? greatest), Number.NEGATIVE_INFINITY),
          ),
        })
        for (const head of driver.heads as AggregateTask[]) {
          head.restore(
            changelog.map((block) => ({ views: views.get(block) as never, position: block.position })),
            closedUntil,
          )
        }
        // What was sent and is in no epoch comes again.
        logs.forEach((log, p) => driver.inputs[p]?.append(log.slice(taken[p])))
        const before = [...taken]
        const share = last ? events.length : Math.floor((events.length * (life + 1)) / plan.tasks.length)
        const epochs = 1 + chance(4)
        for (let epoch = 0; epoch < epochs; epoch++) {
          const to = epoch === epochs - 1 ? share : fed + chance(share - fed + 1)
          for (; fed < to; fed++) {
            const p = chance(partitions)
            logs[p]?.push(events[fed] as Event)
            driver.inputs[p]?.append([events[fed] as Event])
          }
          if (chance(2) === 0) {
            driver.goal({ open: true })
            for (let i = chance(30); i > 0; i--) driver.tasks[chance(driver.tasks.length)]?.step()
          }
          const reads = driver.rows.length
          driver.epoch(epoch, { final: last && epoch === epochs - 1, snapshot: chance(3) === 0 })
          const changes = new Map(driver.rows.slice(reads).map(({ row }) => [idOf(row), row]))
          if (plan.outputMode === 'complete') found.clear()
          for (const [id, row] of changes) found.set(id, row)
        }
        driver.inputs.forEach((input, p) => {
          taken[p] = (before[p] as number) + input.offset
        })
        if (plan.outputMode === 'append') {
          const rows = driver.rows.map(({ row }) => idOf(row))
          expect(new Set(rows).size, 'a window is emitted once').toBe(rows.length)
        }
        for (const { position, views: at } of driver.stateBlocks) {
          const block = { position } as BlockDescriptor
          changelog.push(block)
          views.set(block, at)
        }
        closedUntil = Math.max(...driver.barriers.filter((b) => b.stage === 1).map((b) => b.closedUntil))
        late += driver.lateRows()
      })
      const expected = expectedRows(plan, logs)
      expect(new Set(found.keys())).toEqual(new Set(expected.rows.keys()))
      for (const [id, row] of found) expect(row, id).toEqual(expected.rows.get(id))
      expect(late).toBe(expected.late)
    }),
    { numRuns: Number(process.env['MILLRACE_RUNS'] ?? 40) },
  )
}, 60_000)
