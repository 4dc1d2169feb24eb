import { type DataFrame, fromModule, Millrace, type MillraceError, t } from 'millrace'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

/** Which functions may be sent to the workers, and how they are found there. */
const Row = t.struct({ id: t.int })
const Tiered = t.struct({ id: t.int, tier: t.string })

let mill: Millrace
beforeAll(async () => {
  mill = await Millrace.open({ workers: 1 })
})
afterAll(() => mill.close())

const rows = () =>
  mill.createDataFrame(
    Array.from({ length: 10 }, (_, id) => ({ id })),
    Row,
  )

const refusal = (make: () => unknown): MillraceError => {
  try {
    make()
  } catch (error) {
    return error as MillraceError
  }
  throw new Error('it was not refused')
}

/** A function whose text is what a compiler has made, and not what this file's compiler makes of it. */
const written = (text: string): DataFrame<{ id: number }> => {
  const fn = (): undefined => undefined
  // What map() asks for the text of a function.
  const { toString: own } = Function.prototype
  Object.defineProperty(Function.prototype, 'toString', {
    configurable: true,
    writable: true,
    value(this: unknown) {
      return this === fn ? text : own.call(this)
    },
  })
  try {
    return rows().map(fn as never)
  } finally {
    Object.defineProperty(Function.prototype, 'toString', { configurable: true, writable: true, value: own })
  }
}

describe('a function of a module', () => {
  test.each([
    ['TypeScript', 'enrich.ts', { id: 7, tier: 'tier high' }],
    ['CommonJS', 'enrich.cjs', { id: 70, tier: 'common' }],
  ])('%s', async (_kind, file, expected) => {
    const named = fromModule(new URL(file, import.meta.url), 'enrich')
    expect((await rows().map(named, Tiered).collect())[7]).toEqual(expected)
  })

  test('an absolute path will do, as __filename is one', async () => {
    const path = new URL('enrich.cjs', import.meta.url).pathname
    expect(await rows().map(fromModule(path, 'enrich'), Tiered).count()).toBe(10)
  })

  test.each([
    ['nothing', 'USER_FUNCTION_NOT_FOUND', 'its exports: enrich, limit'],
    ['limit', 'USER_FUNCTION_NOT_FOUND', 'limit is number'],
  ])('an export %s that is no function is said when the query starts', async (name, code, detail) => {
    const named = fromModule(new URL('enrich.ts', import.meta.url), name)
    await expect(rows().map(named, Tiered).collect()).rejects.toMatchObject({ code, detail })
  })

  test('a module that opens an engine is refused on the worker, and does not hang', async () => {
    const named = fromModule(new URL('opens-an-engine.mjs', import.meta.url), 'enrich')
    await expect(rows().map(named).collect()).rejects.toMatchObject({ code: 'OPENED_ON_WORKER' })
  })

  test('a module that is not there, and an address that is none, are refused at once', () => {
    expect(refusal(() => fromModule(new URL('absent.js', import.meta.url), 'enrich')).code).toBe(
      'USER_MODULE_NOT_FOUND',
    )
    expect(refusal(() => fromModule('./enrich.js', 'enrich')).code).toBe('INVALID_ARGUMENT')
    expect(refusal(() => fromModule(import.meta.url, '')).code).toBe('INVALID_ARGUMENT')
  })
})

describe('an inline function', () => {
  test('may use what every thread has, and what it defines itself', async () => {
    const made = rows().map(({ id, ...others }) => {
      class Counter {
        value = 0
        add(n: number): this {
          this.value += n
          return this
        }
      }
      function twice(n: number): number {
        return Math.trunc(n * 2)
      }
      const named = (n: number): number => twice(n)
      return { ...others, id: new Counter().add(named(id)).value }
    })
    expect((await made.collect()).map(({ id }) => id)).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 16, 18])
  })

  test('may be asynchronous, a method, and may import', async () => {
    const made = rows().map(async (row) => {
      const { basename } = await import('node:path')
      return { id: row.id, tier: basename('/a/b') }
    }, Tiered)
    expect((await made.collect())[3]).toEqual({ id: 3, tier: 'b' })
    const holder = {
      next(row: { id: number }) {
        return { id: row.id + 1 }
      },
      async 'later on'(row: { id: number }) {
        return { id: row.id + 2 }
      },
    }
    expect((await rows().map(holder.next).collect())[0]).toEqual({ id: 1 })
    expect((await rows().map(holder['later on']).collect())[0]).toEqual({ id: 2 })
  })

  test('that refers to something outside is refused by that name', () => {
    const rates = new Map([[1, 2]])
    const error = refusal(() => rows().map((row) => ({ id: rates.get(row.id) ?? 0 })))
    expect(error.code).toBe('USER_CODE_NOT_SELF_CONTAINED')
    expect(error.summary).toBe('`rates` is not defined inside the function')
  })

  test.each([
    ['(row) => ({ id: factor * row.id })', 'factor'],
    ['(row) => (0, __vi_import_0__.convert)(row)', 'convert'],
    ['(row) => (0, rates_js_1.convert)(row)', 'convert'],
    ['(row) => require("node:fs")', 'require'],
    ['(row) => this.convert(row)', 'this'],
    ['(row) => { const inner = () => [outside]; return inner() }', 'outside'],
    ['(row, rate = standard) => row', 'standard'],
    ['(row) => { later = row; return row }', 'later'],
    ['(row) => typeof somewhere === "undefined" ? row : row', 'somewhere'],
    ['(row) => { { let hidden = 1 } return hidden }', 'hidden'],
  ])('%s: `%s`', (text, name) => {
    expect(refusal(() => written(text)).summary).toBe(`\`${name}\` is not defined inside the function`)
  })

  test.each([
    '(row) => { for (const key in row) var last = key; return { id: last.length } }',
    '(row) => { label: for (;;) break label; return row }',
    'function named(row) { return row.id > 0 ? row : named({ id: 1 }) }',
    'function (row) { return { ...this, id: arguments.length } }',
    '(row) => { try { null.x } catch (error) { return { id: error.message.length } } return row }',
    '(row) => { const f = /* @__PURE__ */ __name((n) => n + 1, "f"); return { id: f(row.id) } }',
    '(row) => { var { id } = row, rest = __objRest(row, ["id"]); return __spreadValues({ id }, rest) }',
    '(row) => { class A { static #n = 1; get n() { return A.#n } } return { id: new A().n } }',
  ])('%s runs on a worker', async (text) => {
    const ids = (await written(text).collect()).map(({ id }) => id)
    expect(ids).toHaveLength(10)
    expect(ids.every(Number.isInteger)).toBe(true)
  })

  test.each([
    ['one made by bind()', ((row: { id: number }) => row).bind(null)],
    ['a class', class Enrich {} as unknown as (row: { id: number }) => { id: number }],
  ])('%s is refused', (_what, fn) => {
    expect(refusal(() => rows().map(fn)).code).toBe('USER_CODE_NOT_SELF_CONTAINED')
  })

  test('what is no function, no schema or no option is refused', () => {
    const any = (given: unknown): never => given as never
    expect(refusal(() => rows().map(any('enrich'))).code).toBe('FUNCTION_EXPECTED')
    expect(refusal(() => rows().map((row) => row, any('schema'))).code).toBe('SCHEMA_EXPECTED')
    expect(refusal(() => rows().map((row) => row, { concurrency: 0 })).code).toBe('INVALID_OPTION')
    expect(refusal(() => rows().map((row) => row, { timeout: 'soon' })).code).toBe('INVALID_DURATION')
    expect(
      refusal(() =>
        rows().map(
          any((row: unknown) => row),
          any(42),
        ),
      ).code,
    ).toBe('SCHEMA_EXPECTED')
  })

  test('two columns of one name are refused, since a row is an object', () => {
    const frame = rows().as('l').crossJoin(rows().as('r'))
    expect(refusal(() => frame.map((row) => row).columns).code).toBe('COLUMN_ALREADY_EXISTS')
  })
})
