import type { DataType, StructType } from '../types/data-type.js'

/**
 * A value as `show()` and the console sink print it: Spark's text for every type, in UTC. The one
 * difference is binary, which Spark prints as hex bytes always: a key or a value that is readable text
 * is printed as that text here, since that is what a person looks for.
 */
export function valueText(value: unknown, type: DataType): string {
  if (value === null || value === undefined) return 'NULL'
  switch (type.kind) {
    case 'timestamp':
      return timestampText(value instanceof Date ? value.getTime() : Number(value))
    case 'double':
    case 'float':
      return floatingText(Number(value), type.kind === 'float')
    case 'binary':
      return value instanceof Uint8Array ? binaryText(value) : String(value)
    case 'struct':
      return structText(value, type)
    default:
      return String(value)
  }
}

function structText(value: unknown, type: StructType): string {
  const fields = value as Record<string, unknown>
  return `{${type.fields.map((f) => valueText(fields[f.name], f.type)).join(', ')}}`
}

/** `2024-02-29 12:34:56.789`, without the zeros at its end. */
export function timestampText(epochMs: number): string {
  const date = new Date(epochMs)
  if (Number.isNaN(date.getTime())) return String(epochMs)
  const [day = '', time = ''] = date.toISOString().slice(0, -1).split('T')
  return `${day} ${time.replace(/\.?0+$/, '')}`
}

/** Java's text of a double: always a point, and an exponent below 1e-3 and from 1e7 on. */
export function floatingText(value: number, single = false): string {
  if (!Number.isFinite(value)) return String(value)
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0'
  const shortest = single ? shortestFloat(value) : value
  const size = Math.abs(shortest)
  if (size >= 1e-3 && size < 1e7) return Number.isInteger(shortest) ? `${shortest}.0` : String(shortest)
  const [mantissa = '', exponent = ''] = shortest.toExponential().split('e')
  return `${mantissa.includes('.') ? mantissa : `${mantissa}.0`}E${Number(exponent)}`
}

/** The double with the fewest digits that rounds to the same float. */
function shortestFloat(value: number): number {
  for (let digits = 1; digits < 10; digits += 1) {
    const candidate = Number(value.toPrecision(digits))
    if (Math.fround(candidate) === Math.fround(value)) return candidate
  }
  return value
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** Control characters and halves of nothing: text that has them is not text for a person. */
const unprintable = /[\p{Cc}\p{Cn}\p{Co}\p{Cs}]/u

function binaryText(bytes: Uint8Array): string {
  if (bytes.length === 0) return ''
  try {
    // A decoder refuses shared memory, so the bytes are copied first.
    const text = utf8.decode(Uint8Array.from(bytes))
    if (!unprintable.test(text.replace(/[\t\n\r]/g, ''))) return text
  } catch {
    // Not UTF-8: printed as hex below.
  }
  return `[${Array.from(bytes, (b) => b.toString(16).padStart(2, '0').toUpperCase()).join(' ')}]`
}
