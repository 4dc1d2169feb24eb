import { formatDouble, formatFloat, formatTimestamp } from '../codegen/text-values.js'
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
      return formatTimestamp(Number(value))
    case 'double':
      return formatDouble(Number(value))
    case 'float':
      return formatFloat(Number(value))
    case 'binary':
      return value instanceof Uint8Array ? binaryText(value) : String(value)
    case 'struct':
      return structText(value, type)
    case 'array':
      return `[${(value as readonly unknown[]).map((v) => valueText(v, type.element)).join(', ')}]`
    case 'map': {
      const pairs = [...(value as ReadonlyMap<unknown, unknown>)]
      return `{${pairs.map(([k, v]) => `${valueText(k, type.key)} -> ${valueText(v, type.value)}`).join(', ')}}`
    }
    default:
      return String(value)
  }
}

function structText(value: unknown, type: StructType): string {
  const fields = value as Record<string, unknown>
  return `{${type.fields.map((f) => valueText(fields[f.name], f.type)).join(', ')}}`
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
