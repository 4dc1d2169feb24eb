import { MillraceError } from '../common/errors.js'
import {
  arrayType,
  type DataType,
  type Field,
  mapType,
  type ScalarKind,
  type StructType,
  scalar,
  structType,
} from './data-type.js'
import { holdsMap, parseDdl } from './ddl.js'
import { assertFieldName } from './field-name.js'

/**
 * The friendly side of the types: what a user imports as `t`. Every builder carries a plain frozen
 * `type` for the engine and two phantom types for the compiler: what a row has (`t.infer`) and what may be
 * handed in (`t.input`: a Date for a timestamp, a nullable field left out).
 */

/** Never there at run time; it lets TypeScript remember the types of a field. */
declare const phantom: unique symbol

export class SchemaType<Out, In = Out> {
  declare readonly [phantom]: { readonly out: Out; readonly in: In }

  constructor(
    readonly type: DataType,
    readonly isNullable: boolean,
  ) {}

  /** The same type with null as a value: `T | null` in a row, and the field may be left out on the way in. */
  nullable(): SchemaType<Out | null, In | null | undefined> {
    return new SchemaType<Out | null, In | null | undefined>(this.type, true)
  }
}

/** The schema of a record's value, or of rows. */
export class StructSchema<Out, In = Out> extends SchemaType<Out, In> {
  constructor(override readonly type: StructType) {
    super(type, false)
  }
}

type AnySchemaType = SchemaType<unknown, unknown>
export type FieldTypes = Readonly<Record<string, AnySchemaType>>

type Flat<T> = { [K in keyof T]: T[K] }
type OutOf<S extends AnySchemaType> = S[typeof phantom]['out']
type InOf<S extends AnySchemaType> = S[typeof phantom]['in']
type OptionalNames<F extends FieldTypes> = { [K in keyof F]: undefined extends InOf<F[K]> ? K : never }[keyof F]

export type StructOut<F extends FieldTypes> = { -readonly [K in keyof F]: OutOf<F[K]> }
export type StructIn<F extends FieldTypes> = Flat<
  { -readonly [K in Exclude<keyof F, OptionalNames<F>>]: InOf<F[K]> } & {
    -readonly [K in OptionalNames<F>]?: InOf<F[K]>
  }
>

/** `t.infer<typeof Click>`: the type of a row. */
export type Infer<S extends AnySchemaType> = OutOf<S>
/** `t.input<typeof Click>`: what `send` takes. */
export type Input<S extends AnySchemaType> = InOf<S>
export type { Infer as infer, Input as input }

const of = <Out, In = Out>(kind: ScalarKind): SchemaType<Out, In> => new SchemaType<Out, In>(scalar(kind), false)

export const string = of<string>('string')
export const byte = of<number>('byte')
export const short = of<number>('short')
export const int = of<number>('int')
/** A 64-bit column read as a JavaScript number; a value that is no safe integer is invalid. */
export const long = of<number>('long')
/** The exact 64-bit type. */
export const bigint = of<bigint, bigint | number>('bigint')
export const float = of<number>('float')
export const double = of<number>('double')
export const boolean = of<boolean>('boolean')
/** Epoch milliseconds; a Date may be handed in. */
export const timestamp = of<number, number | Date>('timestamp')
/** An ISO string, `'2026-02-28'`. */
export const date = of<string>('date')
export const binary = of<Uint8Array>('binary')

/** Exact, `precision` digits in all, `scale` of them after the point. A string in a row; a string or a number on the way in. */
export function decimal(precision: number, scale = 0): SchemaType<string, string | number> {
  return new SchemaType<string, string | number>(decimalType(precision, scale), false)
}

/** `t.array(t.string)`; `t.array(t.string.nullable())` may hold nulls. */
export function array<Out, In>(element: SchemaType<Out, In>): SchemaType<Out[], readonly In[]> {
  const { type, isNullable } = partOf(element, 't.array(t.string)')
  return new SchemaType<Out[], readonly In[]>(arrayType(type, isNullable), false)
}

type MapIn<KeyIn, ValueIn> =
  | ReadonlyMap<KeyIn, ValueIn>
  | (KeyIn extends string ? Readonly<Record<KeyIn, ValueIn>> : never)

/** A `Map` in a row; on the way in also an object, where the keys are strings. Keys are never null. */
export function map<Key, KeyIn, Value, ValueIn>(
  key: SchemaType<Key, KeyIn>,
  value: SchemaType<Value, ValueIn>,
): SchemaType<Map<Key, Value>, MapIn<KeyIn, ValueIn>> {
  const hint = 't.map(t.string, t.double)'
  const keys = partOf(key, hint)
  if (keys.isNullable || holdsMap(keys.type)) {
    throw new MillraceError('TYPE_INVALID', 'that type cannot be the key of a map', {
      detail: keys.isNullable ? 'a key is never null' : 'a key holds no map',
      hint,
    })
  }
  const values = partOf(value, hint)
  return new SchemaType<Map<Key, Value>, MapIn<KeyIn, ValueIn>>(
    mapType(keys.type, values.type, values.isNullable),
    false,
  )
}

function partOf(part: unknown, hint: string): AnySchemaType {
  if (part instanceof SchemaType) return part
  throw new MillraceError('TYPE_INVALID', 'an array or a map needs the types of what it holds', {
    detail: `found ${part === null ? 'null' : typeof part}, expected one of t.string, t.int, t.struct({...}), …`,
    hint,
  })
}

export function struct<const F extends FieldTypes>(fields: F): StructSchema<StructOut<F>, StructIn<F>> {
  return new StructSchema<StructOut<F>, StructIn<F>>(structType(fieldsOf(fields)))
}

/** Spark's own notation, `t.ddl('id bigint, name string not null')`; its `bigint` is the exact 64-bit type. */
export function ddl<Out = Record<string, unknown>>(text: string): StructSchema<Out> {
  return new StructSchema<Out>(parseDdl(text))
}

function decimalType(precision: number, scale: number): DataType {
  if (
    !Number.isInteger(precision) ||
    precision < 1 ||
    precision > 38 ||
    !Number.isInteger(scale) ||
    scale < 0 ||
    scale > precision
  ) {
    throw new MillraceError('TYPE_INVALID', `decimal(${precision}, ${scale}) is not a decimal type`, {
      detail: 'precision must be an integer from 1 to 38, scale an integer from 0 to the precision',
      hint: 't.decimal(10, 2) has eight digits before the point and two after it',
    })
  }
  return Object.freeze({ kind: 'decimal', precision, scale })
}

function fieldsOf(fields: unknown): Field[] {
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) {
    throw new MillraceError('TYPE_INVALID', 't.struct takes an object of named types', {
      detail: `found ${Array.isArray(fields) ? 'an array' : fields === null ? 'null' : typeof fields}`,
      hint: 't.struct({ name: t.string, price: t.double.nullable() })',
    })
  }
  const prototype: unknown = Object.getPrototypeOf(fields)
  // `{ __proto__: t.string }` makes no field but sets the prototype, so it would vanish without a word.
  if (prototype !== Object.prototype && prototype !== null) assertFieldName('__proto__', [])
  const result: Field[] = []
  for (const [name, type] of Object.entries(fields)) {
    assertFieldName(name, [])
    if (!(type instanceof SchemaType)) {
      throw new MillraceError('TYPE_INVALID', `field "${name}" has no type`, {
        detail: `found ${type === null ? 'null' : typeof type}, expected one of t.string, t.int, t.struct({...}), …`,
        hint: `t.struct({ ${name}: t.string })`,
      })
    }
    result.push({ name, type: type.type, nullable: type.isNullable })
  }
  if (result.length === 0)
    throw new MillraceError('TYPE_INVALID', 'a struct needs at least one field', {
      detail: 'found none',
      hint: 't.struct({ page: t.string })',
    })
  return result
}
