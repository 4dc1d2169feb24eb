/**
 * Data types as plain frozen data: they survive `structuredClone`, so plans that hold them travel to
 * workers as they are. The friendly builders (`t.string`, `t.struct({...})`) are in schema.ts.
 */

export type ScalarKind =
  | 'string'
  | 'binary'
  | 'boolean'
  | 'byte'
  | 'short'
  | 'int'
  | 'long'
  | 'bigint'
  | 'float'
  | 'double'
  | 'date'
  | 'timestamp'
  /** Months. */
  | 'yearMonthInterval'
  /** Milliseconds. */
  | 'dayTimeInterval'
  /** The type of a bare `null` literal; never the type of a stored column. */
  | 'void'

export interface ScalarType {
  readonly kind: ScalarKind
}

export interface DecimalType {
  readonly kind: 'decimal'
  /** 1..38 digits in all. */
  readonly precision: number
  /** 0..precision digits after the point. */
  readonly scale: number
}

export interface Field {
  readonly name: string
  readonly type: DataType
  readonly nullable: boolean
  /** In a query: what the DataFrame of the column was called by `as()`, for `col('clicks.page')`. No part of the type. */
  readonly qualifier?: string
}

export interface StructType {
  readonly kind: 'struct'
  readonly fields: readonly Field[]
}

export interface ArrayType {
  readonly kind: 'array'
  readonly element: DataType
  readonly containsNull: boolean
}

/** A map is kept as its entries, in the order in which they were put in; a key is never null and there but once. */
export interface MapType {
  readonly kind: 'map'
  readonly key: DataType
  readonly value: DataType
  readonly valueContainsNull: boolean
}

export type DataType = ScalarType | DecimalType | StructType | ArrayType | MapType

/**
 * How a value of the type lies in a column (Arrow's physical layout):
 * `bits` one bit a value; `i8 i16 i32 i64 f32 f64` fixed width, little-endian; `bytes` int32 offsets
 * (rows + 1) and UTF-8 or raw bytes, or an array or a map as nested-value.ts draws them; `i128` decimal128;
 * `struct` validity only, its children follow as slots of their own.
 */
export type PhysicalKind = 'bits' | 'i8' | 'i16' | 'i32' | 'i64' | 'f32' | 'f64' | 'bytes' | 'i128' | 'struct'

const physicalKinds: Record<DataType['kind'], PhysicalKind> = {
  string: 'bytes',
  binary: 'bytes',
  boolean: 'bits',
  byte: 'i8',
  short: 'i16',
  int: 'i32',
  date: 'i32',
  long: 'i64',
  bigint: 'i64',
  timestamp: 'i64',
  yearMonthInterval: 'i32',
  dayTimeInterval: 'i64',
  float: 'f32',
  double: 'f64',
  void: 'bits',
  decimal: 'i128',
  struct: 'struct',
  array: 'bytes',
  map: 'bytes',
}

export function physicalKind(type: DataType): PhysicalKind {
  return physicalKinds[type.kind]
}

export const scalar = (kind: ScalarKind): ScalarType => Object.freeze({ kind })

export function structType(fields: readonly Field[]): StructType {
  return Object.freeze({ kind: 'struct', fields: Object.freeze(fields.map((f) => Object.freeze({ ...f }))) })
}

export function arrayType(element: DataType, containsNull = true): ArrayType {
  return Object.freeze({ kind: 'array', element, containsNull })
}

export function mapType(key: DataType, value: DataType, valueContainsNull = true): MapType {
  return Object.freeze({ kind: 'map', key, value, valueContainsNull })
}

/** What the entries of a map are: `array<struct<key, value>>`, which is also how it is kept. */
export function entriesType(type: MapType): ArrayType {
  const fields = [
    { name: 'key', type: type.key, nullable: false },
    { name: 'value', type: type.value, nullable: type.valueContainsNull },
  ]
  return arrayType(structType(fields), false)
}

/** Spark's notation: `struct<name:string,price:decimal(10,2)>`. */
export function typeName(type: DataType): string {
  if (type.kind === 'decimal') return `decimal(${type.precision},${type.scale})`
  if (type.kind === 'struct') {
    return `struct<${type.fields.map((f) => `${f.name}:${typeName(f.type)}`).join(',')}>`
  }
  if (type.kind === 'array') return `array<${typeName(type.element)}>`
  if (type.kind === 'map') return `map<${typeName(type.key)},${typeName(type.value)}>`
  if (type.kind === 'yearMonthInterval') return 'interval year to month'
  return type.kind === 'dayTimeInterval' ? 'interval day to second' : type.kind
}

export function sameType(a: DataType, b: DataType): boolean {
  if (a.kind !== b.kind) return false
  if (a.kind === 'decimal') return b.kind === 'decimal' && a.precision === b.precision && a.scale === b.scale
  if (a.kind === 'array')
    return b.kind === 'array' && a.containsNull === b.containsNull && sameType(a.element, b.element)
  if (a.kind === 'map') {
    return (
      b.kind === 'map' &&
      a.valueContainsNull === b.valueContainsNull &&
      sameType(a.key, b.key) &&
      sameType(a.value, b.value)
    )
  }
  if (a.kind === 'struct') {
    return (
      b.kind === 'struct' &&
      a.fields.length === b.fields.length &&
      a.fields.every((f, i) => {
        const g = b.fields[i]
        return g !== undefined && f.name === g.name && f.nullable === g.nullable && sameType(f.type, g.type)
      })
    )
  }
  return true
}

/** One physical column of a block: a leaf, or the validity of a struct. Depth first, parents before children. */
export interface ColumnSlot {
  readonly index: number
  /** Field names from the root. */
  readonly path: readonly string[]
  readonly type: DataType
  readonly physical: PhysicalKind
  readonly nullable: boolean
  /** Slot of the enclosing struct, -1 at the top. A child's value counts only where all its parents are valid. */
  readonly parent: number
  /** Slots of the fields of a struct, in order; empty for a leaf. */
  readonly children: readonly number[]
  /** Of the top-level field that it belongs to. */
  readonly qualifier: string | undefined
}

/** The slots of a struct's fields, flattened. `topLevelSlots` gives the slot of each top-level field. */
export function columnSlots(schema: StructType): readonly ColumnSlot[] {
  const slots: ColumnSlot[] = []
  const visit = (field: Field, parent: number, path: readonly string[], qualifier?: string): number => {
    const index = slots.length
    const children: number[] = []
    slots.push({
      index,
      path: [...path, field.name],
      type: field.type,
      physical: physicalKind(field.type),
      nullable: field.nullable,
      parent,
      children,
      qualifier,
    })
    if (field.type.kind === 'struct') {
      for (const child of field.type.fields) children.push(visit(child, index, [...path, field.name], qualifier))
    }
    return index
  }
  for (const field of schema.fields) visit(field, -1, [], field.qualifier)
  return slots
}

export function topLevelSlots(schema: StructType): readonly number[] {
  return columnSlots(schema)
    .filter((s) => s.parent === -1)
    .map((s) => s.index)
}
