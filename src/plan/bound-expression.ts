import { typeName } from '../types/data-type.js'
import type { BoundExpression } from './expression.js'

/** Walks over bound expressions: keys for equality, slots that are used, replacement of inputs. */

const keys = new WeakMap<BoundExpression, string>()

/** Equal texts mean equal expressions: same form, same types, same slots. */
export function expressionKey(expression: BoundExpression): string {
  const known = keys.get(expression)
  if (known !== undefined) return known
  const key = makeKey(expression)
  keys.set(expression, key)
  return key
}

function makeKey(e: BoundExpression): string {
  switch (e.kind) {
    case 'input':
      return `#${e.slot}`
    case 'literal':
      return `${typeName(e.type)} ${literalKey(e.value)}`
    case 'field':
      return `${expressionKey(e.arg)}.${e.index}`
    case 'cast':
      return `${e.try === true ? 'tryCast' : 'cast'}(${expressionKey(e.arg)} as ${typeName(e.type)})`
    case 'case': {
      const branches = e.branches.map((b) => `${expressionKey(b.when)} then ${expressionKey(b.then)}`)
      return `case(${branches.join('; ')}${e.otherwise === undefined ? '' : ` else ${expressionKey(e.otherwise)}`})`
    }
    case 'call':
      return `${e.fn}:${typeName(e.type)}(${e.args.map(expressionKey).join(', ')})${(e.lambdas ?? []).map((l) => `{${l.firstCaptured}+${l.captured}: ${expressionKey(l.body)}}`).join('')}`
  }
}

function literalKey(value: unknown): string {
  if (value instanceof Uint8Array) return `x${Buffer.from(value).toString('hex')}`
  if (typeof value === 'string') return JSON.stringify(value)
  return Object.is(value, -0) ? '-0' : `${String(value)}`
}

export function children(e: BoundExpression): readonly BoundExpression[] {
  switch (e.kind) {
    case 'input':
    case 'literal':
      return []
    case 'field':
    case 'cast':
      return [e.arg]
    case 'case':
      return [...e.branches.flatMap((b) => [b.when, b.then]), ...(e.otherwise === undefined ? [] : [e.otherwise])]
    case 'call':
      return e.args
  }
}

/** The same expression over other children, in the order of `children`. */
export function withChildren(e: BoundExpression, next: readonly BoundExpression[]): BoundExpression {
  const at = (i: number): BoundExpression => next[i] as BoundExpression
  switch (e.kind) {
    case 'input':
    case 'literal':
      return e
    case 'field':
    case 'cast':
      return { ...e, arg: at(0) }
    case 'case': {
      const branches = e.branches.map((_, i) => ({ when: at(2 * i), then: at(2 * i + 1) }))
      return e.otherwise === undefined ? { ...e, branches } : { ...e, branches, otherwise: at(2 * branches.length) }
    }
    case 'call':
      return { ...e, args: next }
  }
}

/** From the leaves up. Expressions that do not change stay the same objects. */
export function rewrite(e: BoundExpression, change: (e: BoundExpression) => BoundExpression): BoundExpression {
  const before = children(e)
  const after = before.map((child) => rewrite(child, change))
  return change(after.every((child, i) => child === before[i]) ? e : withChildren(e, after))
}

/** Slots in the order of their first use. */
export function inputSlots(e: BoundExpression): readonly number[] {
  const slots = new Set<number>()
  const visit = (x: BoundExpression): void => {
    if (x.kind === 'input') slots.add(x.slot)
    else for (const child of children(x)) visit(child)
  }
  visit(e)
  return [...slots]
}

export const replaceInputs = (
  e: BoundExpression,
  slotOf: (slot: number, e: BoundExpression) => BoundExpression,
): BoundExpression => rewrite(e, (x) => (x.kind === 'input' ? slotOf(x.slot, x) : x))

/** `a and (b and c)` as [a, b, c]. */
export function conjuncts(e: BoundExpression): readonly BoundExpression[] {
  return e.kind === 'call' && e.fn === 'and' ? e.args.flatMap(conjuncts) : [e]
}
