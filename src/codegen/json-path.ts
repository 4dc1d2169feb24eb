import { type JsonValue, jsonText, parseJson } from './json-text.js'

/** `getJsonObject(text, '$.a[0].b')`, with Hive's rules for `[*]`: one match is given bare, several as an array. */
type Step =
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'index'; readonly at: number }
  | { readonly kind: 'all' | 'anyField' }

const known = new Map<string, readonly Step[] | undefined>()

function stepsOf(path: string): readonly Step[] | undefined {
  if (known.has(path)) return known.get(path)
  const steps = parsePath(path)
  if (known.size >= 256) known.clear()
  known.set(path, steps)
  return steps
}

function parsePath(path: string): readonly Step[] | undefined {
  if (!path.startsWith('$')) return undefined
  const pattern = /\.\*|\[\s*\*\s*\]|\['([^']*)'\]|\[(\d+)\]|\.([^.[]+)/y
  const steps: Step[] = []
  pattern.lastIndex = 1
  while (pattern.lastIndex < path.length) {
    const match = pattern.exec(path)
    if (match === null) return undefined
    const [whole, quoted, index, plain] = match
    const name = quoted ?? plain
    if (index !== undefined) steps.push({ kind: 'index', at: Number(index) })
    else if (whole === '.*' || name === '*') steps.push({ kind: 'anyField' })
    else if (name !== undefined) steps.push({ kind: 'field', name })
    else steps.push({ kind: 'all' })
  }
  return steps
}

/** How a match is written: bare, as JSON, or with an array's elements by themselves. */
type Style = 'raw' | 'quoted' | 'flat'

/** The texts that a path finds below a value; none is no match. */
function find(value: JsonValue, steps: readonly Step[], style: Style): string[] {
  const [step, ...rest] = steps
  if (step === undefined) {
    if (style === 'flat' && value.kind === 'array') return value.items.flatMap((item) => find(item, [], style))
    return [style === 'raw' && value.kind === 'text' ? value.text : jsonText(value)]
  }
  if (step.kind === 'field' || step.kind === 'anyField') {
    if (value.kind !== 'object') return []
    for (const [name, field] of value.fields) {
      if (step.kind === 'field' && (name !== step.name || field.kind === 'null')) continue
      const found = find(field, rest, style)
      if (found.length > 0) return found
    }
    return []
  }
  if (value.kind !== 'array') return []
  if (step.kind === 'index') {
    const item = value.items[step.at]
    return item === undefined ? [] : find(item, rest, rest[0]?.kind === 'all' ? 'quoted' : style)
  }
  return findAll(value.items, rest, style)
}

function findAll(items: readonly JsonValue[], rest: readonly Step[], style: Style): string[] {
  if (rest[0]?.kind === 'all') {
    const inner = rest.slice(1)
    const found = items
      .flatMap((item) => (item.kind === 'array' ? item.items : []))
      .flatMap((item) => find(item, inner, 'flat'))
    return found.length === 0 ? [] : [`[${found.join(',')}]`]
  }
  const found = items.flatMap((item) => find(item, rest, style === 'raw' ? 'quoted' : style))
  if (found.length === 0) return style === 'quoted' ? ['[]'] : []
  return style !== 'quoted' && found.length === 1 ? found : [`[${found.join(',')}]`]
}

export function getJsonObject(text: string, path: string): string | null {
  const steps = stepsOf(path)
  const value = steps === undefined ? undefined : parseJson(text)
  if (steps === undefined || value === undefined) return null
  return find(value, steps, 'raw')[0] ?? null
}

export function jsonArrayLength(text: string): number | null {
  const value = parseJson(text)
  return value?.kind === 'array' ? value.items.length : null
}

export function jsonObjectKeys(text: string): readonly string[] | null {
  const value = parseJson(text)
  return value?.kind === 'object' ? value.fields.map(([name]) => name) : null
}
