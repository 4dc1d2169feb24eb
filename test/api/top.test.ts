import { col, desc, type Millrace, struct, t } from 'millrace'
import { beforeAll, expect, test } from 'vitest'
import { sharedEngine } from '../engines.js'

/** What is seen of `top` from outside: what rows it carries, what it refuses. */
let mill: Millrace
beforeAll(async () => {
  mill = await sharedEngine(2)
})

const Bid = t.struct({ auction: t.int, price: t.int, tags: t.array(t.string.nullable()).nullable(), at: t.timestamp })
const bids = [
  { auction: 1, price: 5, tags: null, at: 1 },
  { auction: 1, price: 7, tags: ['a', null], at: 2 },
  { auction: 2, price: 5, tags: [], at: 3 },
  { auction: 3, price: 1, tags: ['z'], at: 4 },
]
const frame = () => mill.createDataFrame(bids, Bid)

test('rows come with all their columns, keys first, whatever is in them', async () => {
  const nested = frame().select('price', struct('auction', 'tags').as('both'), col('auction').mod(2).as('odd'))
  expect(await nested.groupBy('odd').top(2, desc('price')).orderBy('odd', 'rank').collect()).toEqual([
    { odd: 0, price: 5, both: { auction: 2, tags: [] }, rank: 1 },
    { odd: 1, price: 7, both: { auction: 1, tags: ['a', null] }, rank: 1 },
    { odd: 1, price: 5, both: { auction: 1, tags: null }, rank: 2 },
  ])
})

test('a key may be computed, and hides the column of its name', async () => {
  const rows = await frame().groupBy(col('auction').mod(2).as('auction')).top(1, 'price').orderBy('auction').collect()
  expect(rows).toEqual([
    { auction: 0, price: 5, tags: [], at: 3, rank: 1 },
    { auction: 1, price: 1, tags: ['z'], at: 4, rank: 1 },
  ])
})

test('what is selected behind it may leave out what it is ordered by, and it may be counted', async () => {
  const best = frame().groupBy('auction').top(1, desc('price'), desc('at'))
  expect(await best.select('auction', 'at').orderBy('auction').collect()).toEqual([
    { auction: 1, at: 2 },
    { auction: 2, at: 3 },
    { auction: 3, at: 4 },
  ])
  expect(await best.filter(col('price').gt(4)).count()).toBe(2)
  expect(await frame().limit(0).groupBy().top(3, 'at').collect()).toEqual([])
})

test('explain shows the order, and the lists that become rows', () => {
  const text = frame().groupBy('auction').top(2, desc('price')).explain()
  expect(text).toMatch(/Top 2 of \[auction\] by \[price DESC/i)
  expect(text).toContain('Explode')
})

test('what makes no sense is refused with what was expected', () => {
  const grouped = frame().groupBy('auction')
  const refusal = (run: () => unknown): unknown => {
    try {
      run()
    } catch (error) {
      return (error as { code: unknown }).code
    }
    return undefined
  }
  expect(refusal(() => grouped.top(0, 'price'))).toBe('INVALID_LIMIT')
  expect(refusal(() => grouped.top(1.5, 'price'))).toBe('INVALID_LIMIT')
  expect(refusal(() => grouped.top(1))).toBe('EMPTY_ORDER')
  expect(refusal(() => grouped.top(1, col('prise')))).toBe('UNRESOLVED_COLUMN')
  const ranked = frame().withColumn('rank', col('price'))
  expect(refusal(() => ranked.groupBy('auction').top(1, 'price'))).toBe('COLUMN_ALREADY_EXISTS')
})
