import { present } from '../common/assert.js'
import type { BoundAggregate } from '../plan/expression.js'
import type { DataType } from '../types/data-type.js'
import type { CodeValue } from './expression-compiler.js'

/** Values as the code of group-code.ts writes them: keys and cells that are numbers, bytes, the lesser and the greater. */

export const isFloating = (type: DataType): boolean => type.kind === 'double' || type.kind === 'float'

export const number = (value: string, kind: 'int' | 'double' | 'timestamp'): CodeValue => ({
  type: { kind },
  isNull: 'false',
  value,
})

/** −0 becomes 0: they are one group. */
export function numberOf(value: CodeValue): string {
  if (value.type.kind === 'boolean') return `(${value.value} ? 1 : 0)`
  return isFloating(value.type) ? `(${value.value} + 0)` : value.value
}

export function bytesOf(value: CodeValue): NonNullable<CodeValue['bytes']> {
  return present(value.bytes, 'bytes of a string')
}

export function extremeLine(aggregate: BoundAggregate, a: string, value: string): string {
  const test = aggregate.fn === 'min' ? `v < ${a} || ${a} !== ${a}` : `v > ${a} || v !== v`
  return `{ const v = ${value}; if (${test}) ${a} = v; }`
}

export function or(a: string, b: string): string {
  return a === 'false' ? b : `(${a} || ${b})`
}
