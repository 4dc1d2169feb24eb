import type { Row } from './case-file.js'

/** What is missing and what is too much, as texts; both are empty where the rows agree as a multiset. */
export function rowDifferences(
  found: readonly Row[],
  expected: readonly Row[],
  ordered: boolean,
): { missing: string[]; surplus: string[] } {
  const rest = [...found]
  const missing: string[] = []
  expected.forEach((row, i) => {
    const at = ordered ? (sameValue(rest[0], row) ? 0 : -1) : rest.findIndex((other) => sameValue(other, row))
    if (at === -1) missing.push(`${ordered ? `row ${i + 1}: ` : ''}${rowText(row)}`)
    else rest.splice(at, 1)
  })
  return { missing, surplus: rest.map(rowText) }
}

/** Sums of doubles may differ in their last digits with the order of addition. */
const TOLERANCE = 1e-12

export function sameValue(a: unknown, b: unknown): boolean {
  if (typeof a === 'number' && typeof b === 'number') {
    return (
      a === b ||
      (Number.isNaN(a) && Number.isNaN(b)) ||
      Math.abs(a - b) <= TOLERANCE * Math.max(Math.abs(a), Math.abs(b))
    )
  }
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0
  if (typeof a === 'object' && typeof b === 'object' && a !== null && b !== null) {
    const names = Object.keys(a)
    return (
      names.length === Object.keys(b).length &&
      names.every((name) => sameValue(Reflect.get(a, name), Reflect.get(b, name)))
    )
  }
  return Object.is(a, b)
}

function rowText(row: Row): string {
  return JSON.stringify(row, (_, value: unknown) => {
    if (typeof value === 'bigint') return `${value}n`
    return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value
  })
}
