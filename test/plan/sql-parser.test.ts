import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MillraceError } from '../../src/common/errors.js'
import { bindExpression } from '../../src/plan/binder.js'
import { expressionText } from '../../src/plan/expression-name.js'
import { parseExpression, parseSelected } from '../../src/plan/sql-parser.js'
import { parseDdl } from '../../src/types/ddl.js'
import { codePoint } from '../types/arbitrary.js'

const schema = parseDdl(
  'a int, b int, c boolean, d boolean, s string, ts timestamp, dt date, xs array<int>, m map<string,int>, `odd name` int, w struct<`start`: int>',
)
const text = (sql: string): string => expressionText(parseExpression(sql))
const bound = (sql: string) => bindExpression(parseExpression(sql), schema, { ansi: true, place: 'a test' })

function refusal(run: () => unknown): MillraceError {
  try {
    run()
  } catch (error) {
    if (error instanceof MillraceError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

describe("the grammar is Spark's", () => {
  test.each([
    ['1 + 2 * 3', '(1 + (2 * 3))'],
    ['1 - 2 - 3', '((1 - 2) - 3)'],
    ['a or b and not c', '(a OR (b AND (NOT c)))'],
    ['not a = b', '(NOT (a = b))'],
    ['-a * b', '((- a) * b)'],
    ['- 2147483648', '-2147483648'],
    ['a -1', '(a - 1)'],
    ['a & b | a ^ b', 'bitOr(bitAnd(a, b), bitXor(a, b))'],
    ['a << 1 + 2', 'shiftLeft(a, (1 + 2))'],
    ['a || b = c', '(concat(a, b) = c)'],
    ['a between 1 and 2 and c', '(((a >= 1) AND (a <= 2)) AND c)'],
    ['a not in (1, 2)', '(NOT (a IN (1, 2)))'],
    ["s not like 'x%'", '(NOT (s LIKE x%))'],
    ['a is not null', '(a IS NOT NULL)'],
    ['a is distinct from b', '(NOT (a <=> b))'],
    ['a = b is null', '((a = b) IS NULL)'],
    ['case a when 1 then 2 else 3 end', 'CASE WHEN (a = 1) THEN 2 ELSE 3 END'],
    ['a::string', 'CAST(a AS STRING)'],
    ['try_cast(a as decimal(10, 2))', 'TRY_CAST(a AS DECIMAL(10,2))'],
    ['a div 2 % 3', '((a div 2) % 3)'],
    ['transform(xs, x -> x + a)', 'transform(xs, x -> (x + a))'],
    ['aggregate(xs, 0, (acc, x) -> acc + x)', 'aggregate(xs, 0, (acc, x) -> (acc + x))'],
    ['xs[0] + 1', '(getItem(xs, 0) + 1)'],
    ['/* one /* two */ */ a -- to the end\n + b', '(a + b)'],
    ["'it''s' || \"a\\n\"", "concat(it's, a\n)"],
    ["r'\\d+'", '\\d+'],
    ["x'1F'", "X'1F'"],
    ['count(*)', 'count(1)'],
    ["trim(both 'x' from s)", 'trim(s, x)'],
    ['substring(s from 2 for 3)', 'substring(s, 2, 3)'],
    ['extract(year from ts)', 'year(ts)'],
    ["date '2024-02-29'", 'CAST(2024-02-29 AS DATE)'],
    ['`odd name` + w.start', '(`odd name` + w.start)'],
  ])('%s', (sql, expected) => {
    expect(text(sql)).toBe(expected)
  })

  test.each([
    ['1', 'int'],
    ['2147483648', 'bigint'],
    ['9223372036854775808', 'decimal'],
    ['1.50', 'decimal'],
    ['1e3', 'double'],
    ['1L', 'bigint'],
    ['1S', 'short'],
    ['1Y', 'byte'],
    ['1.5f', 'float'],
    ['2d', 'double'],
    ['1bd', 'decimal'],
    ["interval '1' day", 'dayTimeInterval'],
    ["interval '1-2' year to month", 'yearMonthInterval'],
    ['interval 3 hours 2 minutes', 'dayTimeInterval'],
  ])('the literal %s is a %s', (sql, kind) => {
    expect(bound(sql).type.kind).toBe(kind)
  })

  test('a name is a parameter of the innermost lambda, or a column', () => {
    const call = bound('transform(xs, a -> exists(xs, b -> b > a and c))')
    expect(call.type.kind).toBe('array')
    expect(call.kind === 'call' && call.args).toHaveLength(3)
  })

  test('a column of a select has a name', () => {
    expect(parseSelected('a + 1 as total')).toMatchObject({ kind: 'alias', name: 'total' })
    expect(parseSelected('*')).toStrictEqual({ kind: 'column', name: '*' })
  })
})

describe('an error names its place', () => {
  test.each([
    ['', 'line 1, column 1: the text is empty'],
    ['a +', 'line 1, column 4: the expression ends too early'],
    ['a +\n  * b', 'line 2, column 3: "*" stands for all columns'],
    ['(a', 'line 1, column 3: expected ")", found the end'],
    ["'open", 'line 1, column 1: the text does not end'],
    ['a b', 'line 1, column 3: "b" was not expected here'],
    ['case when a then 1', 'line 1, column 19: expected END, found the end'],
    ['cast(a as nothing)', 'line 1, column 11: there is no type "nothing"'],
    ['a # b', 'line 1, column 3: the character "#" has no meaning here'],
    ['300Y', 'line 1, column 1: the number 300Y does not fit its type'],
    ['interval 1 month 2 days', 'an interval has either months or days'],
    ['sum(a) over (order by b)', 'line 1, column 8: window functions are not supported'],
    ['(select 1)', 'line 1, column 2: select cannot stand here'],
    [`${'('.repeat(300)}a`, 'nested deeper than 200'],
  ])('%s', (sql, message) => {
    const error = refusal(() => parseExpression(sql))
    expect(error.message).toContain(message)
  })

  test('and shows it with a caret', () => {
    expect(refusal(() => parseExpression('price * * 2')).detail).toBe('price * * 2\n        ^')
    const unknown = refusal(() => parseExpression('a + uper(s)'))
    expect(unknown.code).toBe('UNRESOLVED_ROUTINE')
    expect(unknown.detail).toBe('the nearest name is upper\na + uper(s)\n    ^')
  })

  test('whatever the text, it parses or is refused in words', () => {
    const word = fc.constantFrom(
      ..."a b s xs ( ) ( ) , + - * / % = < > <=> and or not is null in between like case when then else end cast as int interval '1' day -> . [ ] :: || ~ ! 1 1.5 2L \"x\" `q` x'0' -- /* */ count distinct upper concat".split(
        ' ',
      ),
    )
    const sentence = fc.array(word, { maxLength: 14 }).map((words) => words.join(' '))
    fc.assert(
      fc.property(
        fc.oneof({ weight: 4, arbitrary: sentence }, fc.string({ unit: codePoint, maxLength: 40 })),
        (sql) => {
          try {
            parseExpression(sql)
          } catch (error) {
            if (!(error instanceof MillraceError)) throw error
            expect([
              'PARSE_SYNTAX_ERROR',
              'UNRESOLVED_ROUTINE',
              'UNSUPPORTED_OPERATION',
              'INVALID_EXTRACT_FIELD',
            ]).toContain(error.code)
          }
        },
      ),
      { numRuns: Number(process.env.MILLRACE_RUNS ?? 1500) },
    )
  })
})
