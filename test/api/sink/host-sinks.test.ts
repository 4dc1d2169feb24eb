import { describe, expect, it } from 'vitest'
import { groupKeyOf } from '../../../src/api/group-key.js'
import { ConsoleSink } from '../../../src/api/sink/console-sink.js'
import { ForeachBatchSink } from '../../../src/api/sink/foreach-batch-sink.js'
import { ForeachFunctionSink, ForeachSink } from '../../../src/api/sink/foreach-sink.js'
import { IteratorSink } from '../../../src/api/sink/iterator-sink.js'
import { MemorySink } from '../../../src/api/sink/memory-sink.js'
import type { OutputMode, PhysicalPlan } from '../../../src/plan/physical-plan.js'
import type { BlockRef } from '../../../src/types/block.js'
import { blocksFromRows } from '../../../src/types/column-builder.js'
import { scalar, structType } from '../../../src/types/data-type.js'
import { readRows } from '../../../src/types/row-reader.js'

const schema = structType([
  { name: 'page', type: scalar('string'), nullable: true },
  { name: 'views', type: scalar('long'), nullable: false },
])

const block = (...rows: [string | null, number][]): BlockRef => {
  const [first] = blocksFromRows(
    schema,
    rows.map(([page, views]) => ({ page, views })),
  )
  if (first === undefined) throw new Error('no block')
  return first
}

const plan = (outputMode: OutputMode, groupingFields: number[]): PhysicalPlan => ({
  stages: [],
  broadcasts: [],
  schema,
  groupingFields,
  outputMode,
  streaming: true,
  ansi: true,
  stateSignature: '',
})

describe('console', () => {
  it('prints an epoch when it is committed, with a header, and only the rows that were asked for', () => {
    const printed: string[] = []
    const sink = new ConsoleSink(schema, { numRows: 2, truncate: true }, (text) => printed.push(text))
    sink.rows(block(['/a', 1]), 7)
    sink.rows(block(['/b', 2], ['/c', 3]), 7)
    expect(printed).toEqual([])
    sink.epoch(7, true)
    sink.epoch(8, false)
    expect(printed).toHaveLength(1)
    sink.epoch(9, true)
    expect(printed).toHaveLength(2)
    expect(printed[1]).toContain('Batch: 9')
    const rule = '-'.repeat(43)
    expect(printed[0]?.split('\n').slice(0, 3)).toEqual([rule, 'Batch: 7', rule])
    expect(printed[0]).toContain('|  /b|    2|')
    expect(printed[0]).not.toContain('/c')
    expect(printed[0]).toContain('only showing top 2 rows')
  })
})

describe('memory', () => {
  it('shows rows once their epoch is committed, and once only', () => {
    const sink = new MemorySink(plan('append', []))
    sink.rows(block(['/a', 1]), 0)
    expect(sink.snapshot()).toEqual([])
    sink.epoch(0)
    sink.rows(block(['/a', 1]), 0)
    sink.epoch(0)
    expect(sink.snapshot()).toEqual([{ page: '/a', views: 1 }])
  })

  it('keeps the last row of each group in update mode, null being a group', () => {
    const sink = new MemorySink(plan('update', [0]))
    sink.rows(block(['/a', 1], [null, 1]), 0)
    sink.epoch(0)
    sink.rows(block(['/a', 2], ['null', 5], [null, 3]), 1)
    sink.epoch(1)
    expect(sink.snapshot()).toEqual([
      { page: '/a', views: 2 },
      { page: null, views: 3 },
      { page: 'null', views: 5 },
    ])
  })

  it('holds the last epoch alone in complete mode', () => {
    const sink = new MemorySink(plan('complete', [0]))
    sink.rows(block(['/a', 1], ['/b', 1]), 0)
    sink.epoch(0)
    sink.rows(block(['/a', 2]), 1)
    sink.epoch(1)
    expect(sink.snapshot()).toEqual([{ page: '/a', views: 2 }])
  })

  it('tells groups apart whatever stands in their keys', () => {
    const key = groupKeyOf(plan('update', [0, 1]))
    const keys = [
      ['a', 1],
      ['a1', 0],
      ['', 1n],
      ['', 1],
      ['s1:a', null],
      [null, 's'],
      ['', true],
      ['', NaN],
      ['', Uint8Array.of(1)],
      ['', { a: 1 }],
    ].map(([page, views]) => key?.({ page, views }))
    expect(new Set(keys).size).toBe(keys.length)
  })
})

describe('foreach', () => {
  it('opens, processes and closes for each task and epoch', async () => {
    const calls: string[] = []
    const sink = new ForeachSink(schema, {
      open: (task, epoch) => {
        calls.push(`open ${task} ${epoch}`)
        return task !== 2
      },
      process: (row) => void calls.push(`row ${String(row['page'])}`),
      close: (error) => void calls.push(`close ${error === null ? 'well' : error.message}`),
    })
    await sink.rows(block(['/a', 1], ['/b', 1]), 0, 1)
    await sink.rows(block(['/x', 1]), 0, 2)
    await sink.rows(block(['/c', 1]), 0, 1)
    await sink.epoch(0)
    await sink.rows(block(['/d', 1]), 1, 1)
    expect(calls).toEqual([
      'open 1 0',
      'row /a',
      'row /b',
      'open 2 0',
      'row /c',
      'close well',
      'close well',
      'open 1 1',
      'row /d',
    ])
  })

  it('closes with the error that process threw, and passes it on', async () => {
    const closed: (Error | null)[] = []
    const sink = new ForeachSink(schema, {
      process: () => {
        throw new Error('no room')
      },
      close: (error) => void closed.push(error),
    })
    await expect(sink.rows(block(['/a', 1]), 0, 0)).rejects.toThrow('no room')
    expect(closed.map((error) => error?.message)).toEqual(['no room'])
  })

  it('a function gets its rows in order, and a promise is waited for', async () => {
    const seen: unknown[] = []
    const sink = new ForeachFunctionSink(schema, (row) => {
      seen.push(row['page'])
      return row['page'] === '/b' ? Promise.resolve().then(() => void seen.push('waited')) : undefined
    })
    await sink.rows(block(['/a', 1], ['/b', 1], ['/c', 1]), 0)
    expect(seen).toEqual(['/a', '/b', 'waited', '/c'])
  })
})

describe('foreachBatch', () => {
  it('delivers the rows of an epoch together, in memory that the query cannot use again', async () => {
    const delivered: { epoch: number; rows: unknown[] }[] = []
    const sink = new ForeachBatchSink(schema, (blocks, epoch) => {
      delivered.push({ epoch, rows: blocks.flatMap((b) => readRows(schema, b)) })
    })
    const reused = block(['/a', 1])
    sink.rows(reused, 3)
    sink.rows(block(['/next', 9]), 4)
    reused.views.u8.fill(0)
    sink.rows(block(['/b', 2]), 3)
    await sink.epoch(3, true)
    expect(delivered).toEqual([
      {
        epoch: 3,
        rows: [
          { page: '/a', views: 1 },
          { page: '/b', views: 2 },
        ],
      },
    ])
  })
})

describe('iterate', () => {
  const many = (count: number): BlockRef =>
    block(...Array.from({ length: count }, (_, i): [string, number] => ['/a', i]))

  it('gives rows in order and ends', async () => {
    const sink = new IteratorSink(schema)
    const first = sink.next()
    void sink.rows(block(['/a', 1], ['/b', 2]))
    expect((await first).value).toEqual({ page: '/a', views: 1 })
    sink.end()
    expect((await sink.next()).value).toEqual({ page: '/b', views: 2 })
    expect(await sink.next()).toEqual({ done: true, value: undefined })
  })

  it('the query waits until the loop has taken the rows', async () => {
    const sink = new IteratorSink(schema)
    let room = false
    const waiting = Promise.resolve(sink.rows(many(5000))).then(() => {
      room = true
    })
    for (let i = 0; i < 4999; i += 1) await sink.next()
    expect(room).toBe(false)
    await sink.next()
    await waiting
    expect(room).toBe(true)
  })

  it('an error comes after the rows before it, once', async () => {
    const sink = new IteratorSink(schema)
    void sink.rows(block(['/a', 1]))
    sink.end(new Error('lost'))
    expect((await sink.next()).done).toBe(false)
    await expect(sink.next()).rejects.toThrow('lost')
    expect((await sink.next()).done).toBe(true)
  })

  it('a loop that is left lets the query go on to its stop', async () => {
    const sink = new IteratorSink(schema)
    const waiting = sink.rows(many(5000))
    sink.abandon()
    await waiting
    expect(sink.rows(many(5000))).toBeUndefined()
    expect((await sink.next()).done).toBe(true)
  })
})
