import { describe, expect, expectTypeOf, test } from 'vitest'
import { typeName } from '../../src/types/data-type.js'
import { t } from '../../src/types/schema.js'

describe('t', () => {
  test('a struct is plain frozen data', () => {
    const Click = t.struct({ userId: t.string, price: t.decimal(10, 2).nullable(), at: t.struct({ lat: t.double }) })
    expect(structuredClone(Click.type)).toStrictEqual(Click.type)
    expect(Object.isFrozen(Click.type)).toBe(true)
    expect(typeName(Click.type)).toBe('struct<userId:string,price:decimal(10,2),at:struct<lat:double>>')
    expect(Click.type.fields.map((f) => f.nullable)).toStrictEqual([false, true, false])
  })

  test('infer is the type of a row, input what may be handed in', () => {
    const Click = t.struct({ a: t.string, b: t.double.nullable(), c: t.timestamp, d: t.struct({ e: t.bigint }) })
    expectTypeOf<t.infer<typeof Click>>().toEqualTypeOf<{ a: string; b: number | null; c: number; d: { e: bigint } }>()
    const given: t.input<typeof Click> = { a: 'x', c: new Date(), d: { e: 1 } }
    expect(given.b).toBeUndefined()
    // @ts-expect-error a is missing
    const missing: t.input<typeof Click> = { c: 1, d: { e: 1n } }
    // @ts-expect-error a number is no string
    const wrong: t.infer<typeof Click> = { a: 1, b: null, c: 1, d: { e: 1n } }
    expect([missing, wrong]).toHaveLength(2)
  })

  test.each(['', '__proto__', 'constructor', 'prototype', '__key'])('the field name %j is refused', (name) => {
    expect(() => t.struct(Object.fromEntries([[name, t.int]]))).toThrow(
      expect.objectContaining({ code: 'FIELD_NAME_INVALID' }),
    )
    if (name !== '') expect(() => t.ddl(`${name} int`)).toThrow(expect.objectContaining({ code: 'FIELD_NAME_INVALID' }))
  })

  test('a literal __proto__ does not vanish without a word', () => {
    expect(() => t.struct({ a: t.int, __proto__: t.string } as never)).toThrow(/__proto__/)
  })

  test('what is no type is refused', () => {
    expect(() => t.struct({ a: 'string' } as never)).toThrow(/field "a" has no type/)
    expect(() => t.struct([t.int] as never)).toThrow(/found an array/)
    expect(() => t.struct({})).toThrow(/at least one field/)
    expect(() => t.decimal(39, 2)).toThrow(/decimal\(39, 2\)/)
    expect(() => t.decimal(5, 6)).toThrow(expect.objectContaining({ code: 'TYPE_INVALID' }))
  })
})

describe('t.ddl', () => {
  test("reads Spark's notation; its bigint is the exact type", () => {
    const schema = t.ddl(
      "id BIGINT NOT NULL, n int, `with ``tick``` string COMMENT 'it\\'s' , d decimal(12, 3), p: struct<x: double, y:double not null>, e decimal",
    )
    expect(
      schema.type.fields.map((f) => `${f.name} ${typeName(f.type)}${f.nullable ? '' : ' not null'}`),
    ).toStrictEqual([
      'id bigint not null',
      'n int',
      'with `tick` string',
      'd decimal(12,3)',
      'p struct<x:double,y:double>',
      'e decimal(10,0)',
    ])
    const point = schema.type.fields[4]?.type
    expect(point?.kind === 'struct' && point.fields.map((f) => f.nullable)).toStrictEqual([true, false])
  })

  test.each([
    ['tags array<strong>', /position 12: there is no type "strong"/],
    ['tags array<string', /position 18: expected ">", found the end/],
    ['m map<map<string,int>,int>', /position 3: the key of a map cannot be a map/],
    ['m map<string>', /position 13: expected ","/],
    ['id bigant', /position 4: there is no type "bigant"/],
    ['id', /position 3: expected a type, found the end/],
    ['', /position 1: expected a field name/],
    ['a int b int', /position 7: expected "," or the end, found "b int"/],
    ['a int, a string', /position 8: the field "a" is there twice/],
    ['p struct<x int', /position 15: expected ">"/],
    ['p struct<x int, x int>', /"x" is there twice/],
    ['d decimal(50,2)', /position 3: decimal\(50,2\)/],
    ['a int not nil', /expected "null" after "not"/],
    ['`a int', /does not end/],
    [`${'a struct<'.repeat(100)}a int`, /deeper than 64/],
  ])('%j says where it went wrong', (text, message) => {
    expect(() => t.ddl(text)).toThrow(message)
    expect(() => t.ddl(text)).toThrow(expect.objectContaining({ code: 'DDL_INVALID' }))
  })
})
