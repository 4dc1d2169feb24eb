import fc from 'fast-check'
import { type CodeValue, materialize } from '../../src/codegen/code-value.js'
import { compileExpression } from '../../src/codegen/expression-compiler.js'
import { interpret, type Row } from '../../src/codegen/interpreter.js'
import type { Value } from '../../src/codegen/value.js'
import { MillraceError } from '../../src/common/errors.js'
import { FunctionSource } from '../../src/common/function-source.js'
import { modulesLoaded } from '../../src/common/lazy-module.js'
import type { BoundExpression, LiteralValue } from '../../src/plan/expression.js'
import { functionNames } from '../../src/plan/function-names.js'
import { boundLiteral } from '../../src/plan/function-spec.js'
import { bindCall, functionSpec } from '../../src/plan/functions.js'
import { arrayType, columnSlots, type DataType, mapType, physicalKind, structType } from '../../src/types/data-type.js'
import { encodeNested } from '../../src/types/nested-value.js'
import { codePoint } from '../types/arbitrary.js'
import { castTo, decimal, isNested, types, unify } from './plan-parts.js'

/** Random typed expressions over random rows, and both ways to evaluate them. */

export const columnTypes: readonly DataType[] = [
  types.boolean,
  types.byte,
  types.short,
  types.int,
  types.long,
  types.bigint,
  types.float,
  types.double,
  types.date,
  types.timestamp,
  types.string,
  types.binary,
  decimal(10, 2),
  decimal(38, 6),
  arrayType(types.int),
  arrayType(types.string, false),
  arrayType(types.double),
  mapType(types.string, types.int),
]

/** Two columns of each type: one that can be null, one that cannot. */
export const schema = structType(
  columnTypes.flatMap((type, i) => [
    { name: `n${i}`, type, nullable: true },
    { name: `v${i}`, type, nullable: false },
  ]),
)
export const slots = columnSlots(schema)

const pick = <T>(...values: T[]): fc.Arbitrary<T> => fc.constantFrom(...values)

const texts = fc.oneof(
  pick(
    '',
    ' ',
    'a',
    'b',
    'A',
    'abc',
    ' 42 ',
    '42',
    '-7',
    '1.5',
    '1e3',
    'NaN',
    'inf',
    'true',
    'No',
    '2024-02-29',
    '2024-02-29 12:34:56.789',
    'é',
    'e\u0301',
    '日本語',
    '🙂👍🏽x',
    'ß',
    'İ',
    '%',
    'a%',
    '_b%',
    '\\%',
    'l+',
    '(a)(b)?',
    '\u0000',
    "'",
    '"); throw 1; ("',
    '\uffff',
    '\ud83d\ude42',
    'hour',
    'MONTH',
  ),
  fc.string({ unit: 'grapheme', maxLength: 8 }),
  fc.string({ unit: codePoint, maxLength: 40 }),
)

const integers = (low: number, high: number): fc.Arbitrary<number> =>
  fc.oneof(
    pick(0, 1, -1, 2, 7, -7, 12, low, high, low + 1, high - 1),
    fc.integer({ min: -20, max: 20 }),
    fc.maxSafeInteger().map((n) => Math.max(low, Math.min(high, n))),
  )

const doubles = fc.oneof(
  pick(
    0,
    -0,
    0.5,
    1.5,
    2.5,
    -2.5,
    0.1,
    0.15,
    1e20,
    5e-324,
    Number.MAX_VALUE,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    2 ** 53,
    -(2 ** 31) - 0.5,
    123456.789,
  ),
  fc.double({ noNaN: true, min: -1000, max: 1000 }),
  fc.double(),
)

const digits = (precision: number): fc.Arbitrary<bigint> =>
  fc.oneof(
    pick(0n, 5n, -5n, 100n, 10n ** BigInt(precision) - 1n),
    fc.bigInt({ min: -(10n ** BigInt(precision)) + 1n, max: 10n ** BigInt(precision) - 1n }),
  )

/** Literals are of scalars alone. */
const scalarTypes = (): readonly DataType[] => columnTypes.filter((type) => !isNested(type))

export function valuesOf(type: DataType): fc.Arbitrary<Value> {
  if (type.kind === 'array') {
    const element = valuesOf(type.element)
    return fc.array(type.containsNull ? fc.option(element, { freq: 4 }) : element, { maxLength: 4 })
  }
  if (type.kind === 'map') {
    const entry = fc.tuple(valuesOf(type.key), fc.option(valuesOf(type.value), { freq: 4 }))
    return fc.uniqueArray(entry, { maxLength: 3, selector: ([key]) => key })
  }
  return scalarsOf(type)
}

function scalarsOf(type: DataType): fc.Arbitrary<Exclude<LiteralValue, null>> {
  switch (type.kind) {
    case 'boolean':
      return fc.boolean()
    case 'byte':
      return integers(-128, 127)
    case 'short':
      return integers(-32768, 32767)
    case 'int':
      return integers(-(2 ** 31), 2 ** 31 - 1)
    case 'long':
      return integers(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)
    case 'bigint':
      return fc.oneof(
        pick(0n, 1n, -1n, 7n, 2n ** 63n - 1n, -(2n ** 63n), 9007199254740993n),
        fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      )
    case 'float':
      return doubles.map(Math.fround)
    case 'double':
      return doubles
    case 'date':
      return fc.oneof(pick(0, -1, 19782, -719162, 2932896), fc.integer({ min: -100_000, max: 100_000 }))
    case 'timestamp':
      return fc.oneof(
        pick(0, -1, 1709210096789, -62135596800000, 253402300799000),
        fc.integer({ min: -1e13, max: 1e13 }),
      )
    case 'string':
      return texts
    case 'binary':
      return fc.uint8Array({ maxLength: 6 })
    case 'decimal':
      return digits(type.precision)
    default:
      throw new Error(`no values of ${type.kind}`)
  }
}

export const rows: fc.Arbitrary<Row> = fc.tuple(
  ...slots.map((slot) =>
    slot.nullable ? fc.option(valuesOf(slot.type), { nil: null, freq: 3 }) : valuesOf(slot.type),
  ),
)

/** Every function of the registry, with as few arguments as it takes and with some more. */
// Functions are asked for before a test has begun.
await modulesLoaded()

const calls: readonly (readonly [fn: string, arity: number])[] = functionNames().flatMap((fn) => {
  const { minArgs, maxArgs } = functionSpec(fn)
  const most = Math.min(maxArgs, minArgs + 3)
  return Array.from({ length: most - minArgs + 1 }, (_, i) => [fn, minArgs + i] as const)
})

const input = (i: number): BoundExpression => {
  const slot = slots[i]
  if (slot === undefined) throw new Error('no such slot')
  return { kind: 'input', slot: i, type: slot.type, nullable: slot.nullable }
}

const leaf: fc.Arbitrary<BoundExpression> = fc.oneof(
  { weight: 4, arbitrary: fc.nat(slots.length - 1).map(input) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(...scalarTypes())
      .chain((type) => scalarsOf(type).map((value) => boundLiteral(value, type))),
  },
  { weight: 1, arbitrary: fc.constantFrom(...columnTypes).map((type) => boundLiteral(null, type)) },
)

/** A call that does not type-check becomes its first argument: every recipe is some expression. */
function callOrFirst(
  fn: string,
  args: readonly BoundExpression[],
  ansi: boolean,
  instead = args[0] as BoundExpression,
): BoundExpression {
  try {
    return bindCall(fn, makesLong.has(fn) ? withShortLength(args, ansi) : args, ansi)
  } catch {
    return instead
  }
}

const makesLong = new Set(['repeat', 'lpad', 'rpad', 'space', 'arrayRepeat', 'arrayInsert', 'sequence', 'formatNumber'])

/** A text of two billion characters would prove nothing. */
function withShortLength(args: readonly BoundExpression[], ansi: boolean): readonly BoundExpression[] {
  return args.map((arg, i) =>
    i === 1 || args.length === 1
      ? bindCall('mod', [castTo(arg, types.int, ansi, true), boundLiteral(40, types.int)], ansi)
      : arg,
  )
}

function caseOrFirst(args: readonly BoundExpression[], withElse: boolean, ansi: boolean): BoundExpression {
  const [a, b, c, d, e] = args as [BoundExpression, BoundExpression, BoundExpression, BoundExpression, BoundExpression]
  try {
    const { args: results, type } = unify('when', [b, d, e], ansi)
    const when = (x: BoundExpression): BoundExpression =>
      x.type.kind === 'boolean' ? x : bindCall('isNull', [x], ansi)
    const [then1, then2, otherwise] = results as [BoundExpression, BoundExpression, BoundExpression]
    return {
      kind: 'case',
      branches: [
        { when: when(a), then: then1 },
        { when: when(c), then: then2 },
      ],
      type,
      nullable: !withElse || results.some((r) => r.nullable),
      ...(withElse ? { otherwise } : {}),
    }
  } catch {
    return a
  }
}

function castOrSame(arg: BoundExpression, to: DataType, ansi: boolean, isTry: boolean): BoundExpression {
  try {
    return castTo(arg, to, ansi, isTry)
  } catch {
    return arg
  }
}

export function expressions(ansi: boolean): fc.Arbitrary<BoundExpression> {
  return fc.letrec<{ e: BoundExpression }>((tie) => ({
    e: fc.oneof(
      { depthSize: 'medium', withCrossShrink: true },
      leaf,
      fc
        .constantFrom(...calls)
        .chain(([fn, n]) =>
          fc
            .tuple(...Array.from({ length: Math.max(1, n) }, () => tie('e')))
            .map((args) => callOrFirst(fn, args.slice(0, n), ansi, args[0])),
        ),
      fc
        .tuple(tie('e'), fc.constantFrom(...columnTypes), fc.boolean())
        .map(([arg, to, isTry]) => castOrSame(arg, to, ansi, isTry)),
      fc
        .tuple(fc.array(tie('e'), { minLength: 5, maxLength: 5 }), fc.boolean())
        .map(([args, withElse]) => caseOrFirst(args, withElse, ansi)),
    ),
  })).e
}

export type Outcome = { readonly value: Value | null } | { readonly error: string }

export function outcome(run: () => Value | null): Outcome {
  try {
    return { value: run() }
  } catch (error) {
    // Anything else is a bug of ours.
    if (!(error instanceof MillraceError)) throw error
    return { error: error.code }
  }
}

export function interpreted(expression: BoundExpression, ansi: boolean): (row: Row) => Outcome {
  const evaluate = interpret(expression, { ansi })
  return (row) => outcome(() => evaluate(row))
}

/** Strings and binaries come as bytes of one buffer, as they do from a block. */
export function compiled(expression: BoundExpression, ansi: boolean): { run: (row: Row) => Outcome; text: string } {
  const source = new FunctionSource()
  const input = (i: number): CodeValue => {
    const slot = slots[i]
    if (slot === undefined) throw new Error('no such slot')
    const { type, nullable } = slot
    const isNull = nullable ? `isNull[${i}]` : 'false'
    if (physicalKind(type) === 'bytes') {
      return {
        type,
        isNull,
        value: 'undefined.noValueWhileBytes',
        bytes: { u8: 'u8', dv: 'dv', start: `starts[${i}]`, end: `ends[${i}]` },
      }
    }
    return { type, isNull, value: `values[${i}]` }
  }
  const result = materialize(source, compileExpression(source, expression, input, { ansi }))
  source.line(`return ${result.isNull} ? null : ${result.value};`)
  const parameters = ['values', 'isNull', 'u8', 'dv', 'starts', 'ends']
  type Generated = (v: unknown[], n: boolean[], u8: Uint8Array, dv: DataView, s: number[], e: number[]) => Value | null
  const run = source.compile<Generated>('evaluate', parameters)
  return {
    text: source.text('evaluate', parameters),
    run: (row) => {
      const u8 = new Uint8Array(new SharedArrayBuffer(8192))
      const starts: number[] = []
      const ends: number[] = []
      let at = 3
      const values = row.map((value, i) => {
        starts.push(at)
        const type = slots[i]?.type ?? types.int
        if (value !== null && physicalKind(type) === 'bytes') {
          const bytes = bytesOf(type, value)
          u8.set(bytes, at)
          at += bytes.length
        }
        ends.push(at)
        // What a null leaves behind: a value of the kind, as the placeholder of a block reader.
        return value ?? garbage(slots[i]?.type ?? types.int)
      })
      return outcome(() =>
        run(
          values,
          row.map((v) => v === null),
          u8,
          new DataView(u8.buffer),
          starts,
          ends,
        ),
      )
    },
  }
}

function bytesOf(type: DataType, value: Value): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value)
  return value instanceof Uint8Array ? value : encodeNested(type, value)
}

function garbage(type: DataType): unknown {
  return type.kind === 'boolean'
    ? false
    : type.kind === 'bigint' || type.kind === 'decimal'
      ? 0n
      : type.kind === 'string'
        ? ''
        : 0
}
