import { describe, expect, it } from 'vitest'
import { displayWidth, renderTable } from '../../src/api/table-renderer.js'
import { valueText } from '../../src/api/value-text.js'
import { scalar, structType } from '../../src/types/data-type.js'

const pages = structType([
  { name: 'page', type: scalar('string'), nullable: true },
  { name: 'views', type: scalar('long'), nullable: false },
])

describe('table', () => {
  it('cells stand on the right when they may be cut', () => {
    expect(
      renderTable(pages, [
        { page: '/a', views: 12 },
        { page: null, views: 3 },
      ]),
    ).toBe(
      ['+----+-----+', '|page|views|', '+----+-----+', '|  /a|   12|', '|NULL|    3|', '+----+-----+', ''].join('\n'),
    )
  })

  it('cells stand on the left when nothing is cut', () => {
    expect(renderTable(pages, [{ page: '/a/long/page/name/of/a/site', views: 1 }], { truncate: false })).toContain(
      '|/a/long/page/name/of/a/site|1    |',
    )
  })

  it('a cell longer than twenty characters ends in dots', () => {
    expect(renderTable(pages, [{ page: '123456789012345678901', views: 1 }])).toContain('|12345678901234567...|')
    expect(renderTable(pages, [{ page: '12345678901234567890', views: 1 }])).toContain('|12345678901234567890|')
    expect(renderTable(pages, [{ page: 'abcdef', views: 1 }], { truncate: 3 })).toContain('|abc|')
  })

  it('an empty table keeps its header, and more rows are announced', () => {
    expect(renderTable(pages, [])).toBe('+----+-----+\n|page|views|\n+----+-----+\n+----+-----+\n')
    expect(renderTable(pages, [{ page: 'x', views: 1 }], { more: true })).toMatch(/only showing top 1 row\n$/)
  })

  it('wide characters keep the bars in line and line breaks stay inside their cell', () => {
    const lines = renderTable(pages, [
      { page: '日本', views: 1 },
      { page: 'a\nb', views: 2 },
    ])
      .trimEnd()
      .split('\n')
    expect(new Set(lines.map(displayWidth)).size).toBe(1)
    expect(lines[4]).toContain('a\\nb')
  })
})

describe('text of a value', () => {
  it('timestamps are UTC, doubles as in Java, and a missing value is NULL', () => {
    expect(valueText(1709210096700, scalar('timestamp'))).toBe('2024-02-29 12:34:56.7')
    expect(valueText(12345678.9, scalar('double'))).toBe('1.23456789E7')
    expect(valueText(Math.fround(0.1), scalar('float'))).toBe('0.1')
    expect(valueText(null, scalar('double'))).toBe('NULL')
  })

  it('binary is text where it is readable, else hex', () => {
    const type = scalar('binary')
    expect(valueText(Buffer.from('grün'), type)).toBe('grün')
    expect(valueText(Uint8Array.of(0xff, 0x0a), type)).toBe('[FF 0A]')
    expect(valueText(Uint8Array.of(0x61, 0x00), type)).toBe('[61 00]')
    const shared = new Uint8Array(new SharedArrayBuffer(2))
    shared.set([0x68, 0x69])
    expect(valueText(shared, type)).toBe('hi')
  })

  it('a struct is its values in braces', () => {
    const window = structType([
      { name: 'start', type: scalar('timestamp'), nullable: false },
      { name: 'end', type: scalar('timestamp'), nullable: false },
    ])
    expect(valueText({ start: 0, end: 60_000 }, window)).toBe('{1970-01-01 00:00:00, 1970-01-01 00:01:00}')
  })
})
