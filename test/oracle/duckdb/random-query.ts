import fc from 'fast-check'

/**
 * Random schemas, rows and queries, each query as one text for both engines: every expression here is Spark's SQL and DuckDB's, with one meaning. Left out
 * is what the two define differently (integer overflow inside a sum that wraps back, rounding of doubles, the text of a double, ties), since
 * a difference would say nothing.
 */

export type ColumnKind = 'int' | 'long' | 'double' | 'decimal(9,2)' | 'string' | 'boolean' | 'timestamp'

export interface TableColumn {
  readonly name: string
  readonly kind: ColumnKind
}

export type Cell = number | string | boolean | null

export interface Table {
  readonly name: string
  readonly columns: readonly TableColumn[]
  readonly rows: readonly (readonly Cell[])[]
  /** Whether the rows come from a topic with partitions, or are given as rows. */
  readonly partitions: number | undefined
}

export interface Item {
  readonly sql: string
  readonly name: string
}

export type JoinKind = 'inner' | 'left' | 'right' | 'full' | 'leftSemi' | 'leftAnti' | 'cross'

export type Query =
  | { readonly op: 'table'; readonly table: Table; readonly columns: readonly TableColumn[] }
  | { readonly op: 'filter'; readonly from: Query; readonly sql: string; readonly columns: readonly TableColumn[] }
  | {
      readonly op: 'select'
      readonly from: Query
      readonly items: readonly Item[]
      readonly columns: readonly TableColumn[]
    }
  | {
      readonly op: 'group'
      readonly from: Query
      readonly keys: readonly Item[]
      /** A tumbling window over this column is a key too. */
      readonly window: { readonly column: string; readonly seconds: number; readonly name: string } | undefined
      readonly aggregates: readonly Item[]
      readonly columns: readonly TableColumn[]
    }
  | { readonly op: 'distinct'; readonly from: Query; readonly columns: readonly TableColumn[] }
  | { readonly op: 'union'; readonly from: Query; readonly other: Query; readonly columns: readonly TableColumn[] }
  | {
      readonly op: 'join'
      readonly from: Query
      readonly other: Query
      readonly how: JoinKind
      /** Of both sides; the columns of the other side have other names. */
      readonly on: string
      readonly columns: readonly TableColumn[]
    }

export interface OrderedQuery {
  readonly query: Query
  /** Over all columns, so that only equal rows tie; and how many. */
  readonly order:
    | { readonly keys: readonly { name: string; descending: boolean }[]; readonly limit: number }
    | undefined
}

const kinds: readonly ColumnKind[] = ['int', 'long', 'double', 'decimal(9,2)', 'string', 'boolean', 'timestamp']

const BASE_MS = Date.UTC(2024, 1, 28, 23, 59, 30)

const cellOf: Readonly<Record<ColumnKind, fc.Arbitrary<Cell>>> = {
  int: fc.oneof(fc.integer({ min: -3, max: 3 }), fc.integer({ min: -1000, max: 1000 })),
  long: fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constantFrom(2 ** 40, -(2 ** 40), 2 ** 31)),
  double: fc.oneof(
    fc.constantFrom(0, -0, 1, 0.5, -2.25, 1e10, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
    fc.integer({ min: -400, max: 400 }).map((n) => n / 4),
  ),
  'decimal(9,2)': fc.integer({ min: -100_000, max: 100_000 }).map((n) => (n / 100).toFixed(2)),
  string: fc.constantFrom('', 'a', 'b', 'ab', 'Ab', ' a ', 'ü🙂', 'a longer text than is kept inline', 'b%_'),
  boolean: fc.boolean(),
  timestamp: fc.integer({ min: 0, max: 120_000 }).map((ms) => BASE_MS + Math.floor(ms / 250) * 250),
}

const tableOf = (name: string): fc.Arbitrary<Table> =>
  fc.array(fc.constantFrom(...kinds), { minLength: 1, maxLength: 5 }).chain((list) => {
    const columns = list.map((kind, i): TableColumn => ({ name: `${name}${i}`, kind }))
    const row = fc.tuple(...columns.map(({ kind }) => fc.option(cellOf[kind], { freq: 5, nil: null })))
    return fc.record({
      name: fc.constant(name),
      columns: fc.constant(columns),
      // Mostly many: of few rows hardly any is left behind a join and a filter.
      rows: fc.oneof(
        { weight: 1, arbitrary: fc.array(row, { maxLength: 3 }) },
        { weight: 5, arbitrary: fc.array(row, { minLength: 12, maxLength: 40, size: 'max' }) },
      ),
      partitions: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
    })
  })

/** The expressions over these columns, by kind. */
export function expressions(columns: readonly TableColumn[], kind: ColumnKind, depth: number): fc.Arbitrary<string> {
  // Made when it is asked for: all of them at once would be thousands.
  const of = (wanted: ColumnKind) => fc.constant(0).chain(() => expressions(columns, wanted, depth - 1))
  const named = columns.filter((column) => column.kind === kind).map(({ name }) => fc.constant(name))
  const simple = named.length === 0 ? [literalOf[kind]] : [...named, ...named, literalOf[kind]]
  if (depth === 0) return fc.oneof(...simple)
  const compound = [choice(of, kind), choice(of, kind), ...special(of, kind)]
  return fc.oneof(...simple, ...compound)
}

const literalOf: Readonly<Record<ColumnKind, fc.Arbitrary<string>>> = {
  int: fc.integer({ min: -5, max: 5 }).map((n) => (n < 0 ? `(${n})` : `${n}`)),
  long: fc.integer({ min: -5, max: 5 }).map((n) => `cast(${n} as bigint)`),
  double: fc.constantFrom('0.5', '1.0', '2.25').map((n) => `cast(${n} as double)`),
  'decimal(9,2)': fc.integer({ min: 0, max: 300 }).map((n) => `cast(${(n / 100).toFixed(2)} as decimal(9,2))`),
  string: fc.constantFrom("'a'", "'b'", "''", "'ab'", "'ü'"),
  boolean: fc.constantFrom('true', 'false'),
  timestamp: fc.integer({ min: 0, max: 59 }).map((s) => `timestamp '2024-02-29 00:00:${String(s).padStart(2, '0')}'`),
}

type Of = (kind: ColumnKind) => fc.Arbitrary<string>

/** What there is for every kind. */
const choice = (of: Of, kind: ColumnKind): fc.Arbitrary<string> =>
  fc.oneof(
    fc.tuple(of('boolean'), of(kind), of(kind)).map(([a, b, c]) => `case when ${a} then ${b} else ${c} end`),
    fc.tuple(of('boolean'), of(kind)).map(([a, b]) => `case when ${a} then ${b} end`),
    fc.tuple(of(kind), of(kind)).map(([a, b]) => `coalesce(${a}, ${b})`),
    fc.tuple(of(kind), of(kind)).map(([a, b]) => `nullif(${a}, ${b})`),
    ...(kind === 'boolean'
      ? []
      : [fc.tuple(fc.constantFrom('greatest', 'least'), of(kind), of(kind)).map(([f, a, b]) => `${f}(${a}, ${b})`)]),
  )

function special(of: Of, kind: ColumnKind): fc.Arbitrary<string>[] {
  switch (kind) {
    case 'int':
      return [
        of('int').map((a) => `(${a} % 7)`),
        fc.tuple(of('int'), of('int')).map(([a, b]) => `((${a}) % 100 + (${b}) % 100)`),
        of('string').map((a) => `cast(length(${a}) as int)`),
        fc.tuple(of('string'), of('string')).map(([a, b]) => `cast(instr(${a}, ${b}) as int)`),
        fc
          .tuple(fc.constantFrom('year', 'month', 'day', 'hour', 'minute'), of('timestamp'))
          .map(([f, a]) => `cast(${f}(${a}) as int)`),
        of('boolean').map((a) => `cast(${a} as int)`),
        of('int').map((a) => `abs(${a})`),
      ]
    case 'long':
      return [
        fc.tuple(of('long'), of('int')).map(([a, b]) => `((${a}) % 1000000 + ${b})`),
        fc.tuple(of('long'), of('long')).map(([a, b]) => `((${a}) % 1000000 - (${b}) % 1000000)`),
        of('int').map((a) => `cast(${a} as bigint)`),
        fc.tuple(of('int'), of('int')).map(([a, b]) => `(cast((${a}) % 1000 as bigint) * ((${b}) % 1000))`),
      ]
    case 'double':
      return [
        fc.tuple(fc.constantFrom('+', '-', '*'), of('double'), of('double')).map(([o, a, b]) => `(${a} ${o} ${b})`),
        of('double').map((a) => `(${a} / cast(4 as double))`),
        of('double').map((a) => `abs(${a})`),
        of('int').map((a) => `cast(${a} as double)`),
        of('int').map((a) => `(${a} / 8)`),
        of('decimal(9,2)').map((a) => `cast(${a} as double)`),
        of('double').map((a) => `sqrt(abs(${a}))`),
      ]
    case 'decimal(9,2)':
      return [of('int').map((a) => `cast((${a}) % 1000 as decimal(9,2))`), of('decimal(9,2)').map((a) => `abs(${a})`)]
    case 'string':
      return [
        fc.tuple(fc.constantFrom('trim', 'ltrim', 'rtrim', 'reverse'), of('string')).map(([f, a]) => `${f}(${a})`),
        // Case beyond ASCII is a table of its own in each.
        fc.tuple(fc.constantFrom('upper', 'lower'), of('string')).map(([f, a]) => `${f}(replace(${a}, 'ü', ''))`),
        fc.tuple(of('string'), of('string')).map(([a, b]) => `(${a} || ${b})`),
        fc
          .tuple(of('string'), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 5 }))
          .map(([a, from, length]) => `substring(${a}, ${from}, ${length})`),
        fc.tuple(of('string'), fc.constantFrom("'a'", "'b'", "'ab'")).map(([a, b]) => `replace(${a}, ${b}, 'x')`),
        fc.tuple(of('string'), fc.integer({ min: 0, max: 6 })).map(([a, n]) => `lpad(${a}, ${n}, '+-')`),
        fc.tuple(of('string'), fc.integer({ min: 0, max: 2 })).map(([a, n]) => `repeat(${a}, ${n})`),
        fc.oneof(of('int'), of('long'), of('boolean'), of('decimal(9,2)')).map((a) => `cast(${a} as string)`),
      ]
    case 'boolean':
      return [
        fc
          .constantFrom(...kinds)
          .chain((of_) =>
            fc
              .tuple(fc.constantFrom('=', '<>', '<', '<=', '>', '>='), of(of_), of(of_))
              .map(([o, a, b]) => `(${a} ${o} ${b})`),
          ),
        fc.tuple(of('int'), of('double')).map(([a, b]) => `(${a} < ${b})`),
        fc.tuple(of('int'), of('decimal(9,2)')).map(([a, b]) => `(${a} <= ${b})`),
        fc
          .constantFrom(...kinds)
          .chain((of_) =>
            fc.tuple(of(of_), fc.constantFrom('is null', 'is not null')).map(([a, is]) => `(${a} ${is})`),
          ),
        fc
          .constantFrom(...kinds)
          .chain((of_) => fc.tuple(of(of_), of(of_)).map(([a, b]) => `(${a} is not distinct from ${b})`)),
        fc.tuple(fc.constantFrom('and', 'or'), of('boolean'), of('boolean')).map(([o, a, b]) => `(${a} ${o} ${b})`),
        of('boolean').map((a) => `(not ${a})`),
        fc.tuple(of('int'), of('int'), of('int')).map(([a, b, c]) => `(${a} in (${b}, ${c}, 2))`),
        fc.tuple(of('int'), of('int'), of('int')).map(([a, b, c]) => `(${a} between ${b} and ${c})`),
        fc
          .tuple(of('string'), fc.constantFrom("'a%'", "'%b'", "'_b'", "'%'", "'%ü%'"))
          .map(([a, pattern]) => `(${a} like ${pattern})`),
      ]
    case 'timestamp':
      return [
        fc
          .tuple(fc.constantFrom('second', 'minute', 'hour', 'day', 'month', 'year'), of('timestamp'))
          .map(([unit, a]) => `date_trunc('${unit}', ${a})`),
        fc.tuple(of('timestamp'), fc.integer({ min: 1, max: 90 })).map(([a, n]) => `(${a} + interval '${n}' minute)`),
      ]
  }
}

let names = 0
const fresh = (): string => `c${++names}`

const itemOf = (columns: readonly TableColumn[], depth: number): fc.Arbitrary<Item & TableColumn> =>
  fc
    .constantFrom(...kinds)
    .chain((kind) => expressions(columns, kind, depth).map((sql) => ({ sql, kind, name: fresh() })))

/** An aggregate with the kind of its result. */
const aggregateOf = (columns: readonly TableColumn[]): fc.Arbitrary<Item & TableColumn> => {
  const arg = (kind: ColumnKind) => expressions(columns, kind, 1)
  const made = (kind: ColumnKind, sql: fc.Arbitrary<string>): fc.Arbitrary<Item & TableColumn> =>
    sql.map((text) => ({ sql: text, kind, name: fresh() }))
  const anyKind = fc.constantFrom(...kinds)
  return fc.oneof(
    made('long', fc.constant('count(*)')),
    made(
      'long',
      anyKind.chain((kind) => arg(kind).map((a) => `count(${a})`)),
    ),
    made(
      'long',
      anyKind.chain((kind) => arg(kind).map((a) => `count(distinct ${a})`)),
    ),
    made(
      'long',
      arg('int').map((a) => `sum(${a})`),
    ),
    made(
      'double',
      fc.oneof(arg('int'), arg('double')).map((a) => `avg(${a})`),
    ),
    made(
      'double',
      arg('double').map((a) => `sum(${a})`),
    ),
    made(
      'double',
      fc
        .tuple(fc.constantFrom('var_samp', 'var_pop', 'stddev_samp', 'stddev_pop'), arg('int'))
        .map(([f, a]) => `${f}(${a})`),
    ),
    made(
      'boolean',
      fc.tuple(fc.constantFrom('bool_and', 'bool_or'), arg('boolean')).map(([f, a]) => `${f}(${a})`),
    ),
    made(
      'long',
      arg('boolean').map((a) => `count(nullif(${a}, false))`),
    ),
    anyKind
      .filter((kind) => kind !== 'boolean')
      .chain((kind) =>
        made(
          kind,
          fc.tuple(fc.constantFrom('min', 'max'), arg(kind)).map(([f, a]) => `${f}(${a})`),
        ),
      ),
  )
}

const filtered = (from: Query): fc.Arbitrary<Query> =>
  expressions(from.columns, 'boolean', 3).map((sql) => ({ op: 'filter', from, sql, columns: from.columns }))

const selected = (from: Query): fc.Arbitrary<Query> =>
  fc
    .array(itemOf(from.columns, 2), { minLength: 1, maxLength: 4 })
    .map((items) => ({ op: 'select', from, items, columns: items.map(({ name, kind }) => ({ name, kind })) }))

function grouped(from: Query): fc.Arbitrary<Query> {
  const times = from.columns.filter(({ kind }) => kind === 'timestamp')
  const window =
    times.length === 0
      ? fc.constant(undefined)
      : fc.option(
          fc
            .record({
              column: fc.constantFrom(...times.map(({ name }) => name)),
              seconds: fc.constantFrom(1, 10, 60),
            })
            .map((made) => ({ ...made, name: fresh() })),
          { nil: undefined },
        )
  return fc
    .record({
      keys: fc.array(itemOf(from.columns, 1), { maxLength: 2 }),
      window,
      aggregates: fc.array(aggregateOf(from.columns), { minLength: 1, maxLength: 4 }),
    })
    .map(({ keys, window: at, aggregates }) => {
      const start: readonly TableColumn[] = at === undefined ? [] : [{ name: at.name, kind: 'timestamp' }]
      const columns = [...start, ...[...keys, ...aggregates].map(({ name, kind }) => ({ name, kind }))]
      return { op: 'group', from, keys, window: at, aggregates, columns }
    })
}

const joined = (from: Query, other: Query): fc.Arbitrary<Query> =>
  fc
    .record({
      how: fc.constantFrom<JoinKind>('inner', 'left', 'right', 'full', 'leftSemi', 'leftAnti', 'cross'),
      equal: fc
        .constantFrom(...kinds)
        .chain((kind) =>
          fc
            .tuple(expressions(from.columns, kind, 1), expressions(other.columns, kind, 1))
            .map(([a, b]) => `${a} = ${b}`),
        ),
      more: fc.option(expressions([...from.columns, ...other.columns], 'boolean', 2), { nil: undefined }),
    })
    .map(({ how, equal, more }) => {
      const both = how !== 'leftSemi' && how !== 'leftAnti'
      const columns = both ? [...from.columns, ...other.columns] : from.columns
      return { op: 'join', from, other, how, on: more === undefined ? equal : `${equal} and ${more}`, columns }
    })

/** Renamed, so that both sides of a union have the first one's names and kinds. */
const alike = (other: Query, columns: readonly TableColumn[]): fc.Arbitrary<Query> =>
  fc.tuple(...columns.map(({ kind }) => expressions(other.columns, kind, 1))).map((texts) => ({
    op: 'select',
    from: other,
    items: texts.map((sql, i) => ({ sql, name: (columns[i] as TableColumn).name })),
    columns,
  }))

function grown(from: Query, steps: number): fc.Arbitrary<Query> {
  if (steps === 0) return fc.constant(from)
  const table = (): fc.Arbitrary<Query> =>
    tableOf(`t${++names}_`).map((made) => ({ op: 'table', table: made, columns: made.columns }))
  const next: fc.Arbitrary<Query> = fc.oneof(
    { weight: 3, arbitrary: filtered(from) },
    { weight: 3, arbitrary: selected(from) },
    { weight: 3, arbitrary: grouped(from) },
    { weight: 1, arbitrary: fc.constant<Query>({ op: 'distinct', from, columns: from.columns }) },
    {
      weight: 1,
      arbitrary: table()
        .chain((other) => alike(other, from.columns))
        .map((other): Query => ({ op: 'union', from, other, columns: from.columns })),
    },
    { weight: 3, arbitrary: table().chain((other) => joined(from, other)) },
  )
  return next.chain((query) => grown(query, steps - 1))
}

export const queries: fc.Arbitrary<OrderedQuery> = fc
  .tuple(tableOf('t'), fc.integer({ min: 1, max: 4 }))
  .chain(([table, steps]) => grown({ op: 'table', table, columns: table.columns }, steps))
  .chain((query) =>
    fc.record({
      query: fc.constant(query),
      order: fc.option(
        fc.record({
          keys: fc
            .tuple(...query.columns.map(() => fc.boolean()))
            .map((down) => query.columns.map(({ name }, i) => ({ name, descending: down[i] === true }))),
          limit: fc.integer({ min: 0, max: 40 }),
        }),
        { nil: undefined },
      ),
    }),
  )
