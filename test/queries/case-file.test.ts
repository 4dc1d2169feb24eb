import { describe, expect, it } from 'vitest'
import { scalar, structType } from '../../src/types/data-type.js'
import { parseCase, parseCell } from './case-file.js'
import { parseArguments } from './expression-text.js'
import { rowDifferences } from './same-rows.js'

describe('the language of the cases', () => {
  it('operators bind as in arithmetic, and names may be given', () => {
    const [arg] = parseArguments('total: price + 2 * n >= -1 and not done')
    expect(arg?.name).toBe('total')
    const call = (name: string, ...args: unknown[]): unknown => ({ kind: 'call', name, args })
    const column = (name: string): unknown => ({ kind: 'column', name })
    const literal = (value: number): unknown => ({ kind: 'literal', value })
    expect(arg?.value).toEqual(
      call(
        'and',
        call('gte', call('plus', column('price'), call('multiply', literal(2), column('n'))), literal(-1)),
        call('not', column('done')),
      ),
    )
  })

  it('what cannot be read is an error that says what', () => {
    expect(() => parseArguments('a ? b')).toThrow("cannot read '? b'")
    expect(() => parseArguments('f(a')).toThrow("a ')' is missing")
    expect(() => parseArguments('a b')).toThrow("'b' is left over")
  })

  it('sends of a partition are told apart by blank lines', () => {
    const text =
      'title: x\nschema:\n  a int\ninput:\n  partition 1\n    1\n    2\n\n    3\nquery:\n  limit 1\nexpect:\n  a\n  1\n'
    const query = parseCase(text, 'x.txt')
    expect(query.input.sends).toEqual([[], [[{ a: 1 }, { a: 2 }], [{ a: 3 }]]])
    expect(query.expect?.rows).toEqual([['1']])
  })

  it('a cell is read by its type', () => {
    expect(parseCell('12:00:01.5', scalar('timestamp'))).toBe(Date.UTC(2024, 0, 1, 12, 0, 1, 500))
    expect(parseCell('-5', scalar('timestamp'))).toBe(-5)
    expect(parseCell('"a\\u0301 | b"', scalar('string'))).toBe('a\u0301 | b')
    expect(Object.is(parseCell('-0', scalar('double')), -0)).toBe(true)
    expect(parseCell('9223372036854775807', scalar('bigint'))).toBe(9223372036854775807n)
    const place = structType([
      { name: 'city', type: scalar('string'), nullable: true },
      { name: 'n', type: scalar('int'), nullable: false },
    ])
    expect(parseCell('{null, 3}', place)).toEqual({ city: null, n: 3 })
  })
})

describe('the comparison', () => {
  it('counts equal rows and forgives the last digits of doubles', () => {
    expect(rowDifferences([{ a: 0.1 + 0.2 }, { a: 1 }, { a: 1 }], [{ a: 1 }, { a: 0.3 }], false)).toEqual({
      missing: [],
      surplus: ['{"a":1}'],
    })
    expect(rowDifferences([{ a: 1 }], [{ a: 1.0000001 }], false).missing).toHaveLength(1)
    expect(rowDifferences([{ a: null }], [{ a: Number.NaN }], false).missing).toEqual(['{"a":"NaN"}'])
  })

  it('where order counts, the same rows in another order differ', () => {
    expect(rowDifferences([{ a: 2 }, { a: 1 }], [{ a: 1 }, { a: 2 }], true).missing).not.toEqual([])
  })
})
