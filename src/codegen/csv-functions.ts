import { MillraceError } from '../common/errors.js'
import { type DataType, type StructType, typeName } from '../types/data-type.js'
import { castFunction } from './casts.js'
import type { KernelTable } from './kernel.js'
import { formatValue } from './text-values.js'
import { dateFormat } from './times.js'
import type { StructValue, Value } from './value.js'

/** One line of CSV from and to a struct. Quotes are `"`, escaped by a backslash or by doubling. */

type Item = Value | null

const optionsOf = (value: Item | undefined): ReadonlyMap<string, string> =>
  new Map(((value ?? []) as readonly (readonly [string, string])[]).map(([name, text]) => [name.toLowerCase(), text]))

function cells(line: string, separator: string): (string | null)[] {
  const result: (string | null)[] = []
  let at = 0
  for (;;) {
    if (line[at] === '"') {
      let text = ''
      for (at++; at < line.length && line[at] !== '"'; at++) {
        if (line[at] === '\\' && (line[at + 1] === '"' || line[at + 1] === '\\')) at++
        text += line[at]
      }
      result.push(text)
      const next = line.indexOf(separator, at)
      at = next === -1 ? line.length + 1 : next + separator.length
    } else {
      const next = line.indexOf(separator, at)
      const text = next === -1 ? line.slice(at) : line.slice(at, next)
      result.push(text === '' ? null : text)
      at = next === -1 ? line.length + 1 : next + separator.length
    }
    if (at > line.length) return result
  }
}

function fromCsv(type: StructType): (line: string, _type: Item, options?: Item) => Item {
  const casts = type.fields.map((f) => castFunction({ kind: 'string' }, f.type, false, true) as (text: string) => Item)
  return (line, _type, given) => {
    const options = optionsOf(given)
    const strict = options.get('mode')?.toUpperCase() === 'FAILFAST'
    const found = line === '' ? [] : cells(line, options.get('sep') ?? options.get('delimiter') ?? ',')
    return casts.map((cast, i) => {
      const text = found[i] ?? null
      const value = text === null || text === options.get('nullvalue') ? null : cast(text)
      if (strict && text !== null && value === null) {
        const field = type.fields[i] as StructType['fields'][number]
        throw new MillraceError(
          'MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION',
          `the column ${field.name} is no ${typeName(field.type)}`,
          {
            detail: `found ${JSON.stringify(text.slice(0, 100))}`,
            hint: "mode 'PERMISSIVE' gives null for it; or mend the text, or the schema",
          },
        )
      }
      return value
    })
  }
}

function toCsv(type: StructType): (value: StructValue, options?: Item) => string {
  const formats = type.fields.map((f) => cellText(f.type))
  return (value, given) => {
    const options = optionsOf(given)
    const separator = options.get('sep') ?? options.get('delimiter') ?? ','
    const nothing = options.get('nullvalue') ?? ''
    return formats
      .map((format, i) => {
        const item = value[i] ?? null
        if (item === null) return nothing
        // Spaces at the ends are not written, so that what was only spaces is the empty text.
        const text = format(item).trim()
        if (text === '') return '""'
        return text.includes(separator) || /["\r\n]/.test(text) ? `"${text.replace(/"/g, '\\"')}"` : text
      })
      .join(separator)
  }
}

/** Values of a type as cells. */
export function cellText(type: DataType): (value: Value) => string {
  if (type.kind === 'timestamp') return (value) => dateFormat(value as number, "yyyy-MM-dd'T'HH:mm:ss.SSSXXX")
  return formatValue(type) as (value: Value) => string
}

export const csvKernels: KernelTable = {
  fromCsv: (_first, call) => {
    const read = fromCsv(call.type as StructType)
    return (line: string | null, type: Item, options?: Item) => (line === null ? null : read(line, type, options))
  },
  toCsv: (first) => toCsv(first as StructType),
}
