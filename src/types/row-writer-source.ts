import { assert } from '../common/assert.js'
import { FunctionSource } from '../common/function-source.js'
import { LONG_STRING_LENGTH, writeLongUtf8, writeUtf8From } from '../common/utf8.js'
import type { BlockBuilder } from './block-builder.js'
import { type ColumnSlot, columnSlots, type StructType } from './data-type.js'
import { expectation, invalidValue } from './invalid-value.js'
import { JOINED_LENGTH_MAX, noTexts, writeJoined } from './joined-text.js'
import { encodeNested } from './nested-value.js'
import { dateOf, fieldFromUser, isBytes, property, timestampOf, writeDecimal } from './user-value.js'

/**
 * The generated half of column-builder.ts: the text of the functions that check the fields of an object and
 * write them into columns, for one group of a schema's fields.
 */
export interface RowEncoderOptions {
  /** What the array of objects is called in messages: `messages` → `messages[12].value.zip`. */
  readonly root: string
  /** True: row i is `objects[i].value`. False: it is `objects[i]`. */
  readonly unwrap: boolean
  /** Slot of the schema's first field in the builder. */
  readonly firstSlot: number
}

export type EncodeGroup = (
  builder: BlockBuilder,
  objects: readonly unknown[],
  from: number,
  to: number,
  rows: Int32Array,
  parts: Int32Array,
  first: number,
) => void
export type ValidateGroup = (
  objects: readonly unknown[],
  from: number,
  to: number,
  sizes: Float64Array,
  first: number,
) => void

export function rootPath(options: RowEncoderOptions, index: number): string {
  return `${options.root}[${index}]${options.unwrap ? '.value' : ''}`
}

/** Writes the text of one group's functions. Local names end in the slot of the builder: c4 its column, v4 its values, … */
export class RowWriterSource {
  readonly #source = new FunctionSource()
  readonly #fail: string
  #writes = true
  #joins = false

  constructor(
    readonly schema: StructType,
    readonly options: RowEncoderOptions,
    readonly group: { readonly from: number; readonly to: number },
  ) {
    this.#fail = this.#source.constant(failureOf(options))
  }

  /** The same for many records at once, whose strings it joins; see joined-text.ts. */
  joiningEncoder(): EncodeGroup {
    this.#joins = true
    return this.encoder()
  }

  encoder(): EncodeGroup {
    const source = this.#source
    const slots = this.#slots()
    for (const slot of slots) this.#openColumn(slot)
    source.block('for (let index = from; index < to; index++)', () => {
      source.line('const row = rows[index - first]')
      if (slots.some((slot) => slot.physical === 'bytes')) source.line('const part = parts[index - first]')
      this.#record(slots)
    })
    if (this.#joins) for (const slot of slots) if (slot.type.kind === 'string') this.#writeTexts(slot.index)
    return source.compile<EncodeGroup>('encodeRows', ['builder', 'objects', 'from', 'to', 'rows', 'parts', 'first'])
  }

  validator(): ValidateGroup {
    const source = this.#source
    this.#writes = false
    source.block('for (let index = from; index < to; index++)', () => {
      source.line('let size = 0')
      this.#record(this.#slots())
      source.line('sizes[index - first] += size')
    })
    return source.compile<ValidateGroup>('validateRows', ['objects', 'from', 'to', 'sizes', 'first'])
  }

  /** Slots of the group's fields, numbered as in the builder. */
  #slots(): ColumnSlot[] {
    const all = columnSlots(this.schema)
    const shift = this.options.firstSlot
    const top = all.filter((s) => s.parent === -1).map((s) => s.index)
    const first = top[this.group.from] ?? 0
    const end = top[this.group.to] ?? all.length
    return all
      .slice(first, end)
      .map((slot) => ({ ...slot, index: slot.index + shift, children: slot.children.map((c) => c + shift) }))
  }

  #openColumn(slot: ColumnSlot): void {
    const s = slot.index
    const source = this.#source
    source.line(`const c${s} = builder.columns[${s}]`)
    if (slot.physical === 'bytes') source.line(`const p${s} = c${s}.parts, e${s} = c${s}.partEnds`)
    if (this.#joins && slot.type.kind === 'string')
      source.line(`const t${s} = ${source.constant(noTexts)}(p${s}.length)`)
    if (slot.physical !== 'struct') source.line(`const v${s} = c${s}.values`)
    if (slot.type.kind === 'bigint') source.line(`const g${s} = c${s}.big`)
    if (slot.nullable) source.line(`const n${s} = c${s}.valid`)
  }

  #record(slots: readonly ColumnSlot[]): void {
    const source = this.#source
    if (this.options.unwrap) {
      source.line('const message = objects[index]')
      source.line(`const record = typeof message === 'object' && message !== null ? message.value : undefined`)
    } else source.line('const record = objects[index]')
    const expected = source.constant(expectation(this.schema, false))
    source.line(
      `if (typeof record !== 'object' || record === null || Array.isArray(record)) ${this.#fail}(index, '', ${expected}, record)`,
    )
    const bySlot = new Map(slots.map((slot) => [slot.index, slot]))
    for (const slot of slots) if (slot.parent === -1) this.#field(slot, bySlot, 'record')
  }

  #field(slot: ColumnSlot, all: ReadonlyMap<number, ColumnSlot>, object: string): void {
    const source = this.#source
    const x = `x${slot.index}`
    const name = slot.path[slot.path.length - 1] as string
    const key = source.constant(name)
    source.line(
      `const ${x} = ${name in Object.prototype ? `${source.constant(property)}(${object}, ${key})` : `${object}[${key}]`}`,
    )
    const path = source.constant(`.${slot.path.join('.')}`)
    const refuse = `${this.#fail}(index, ${path}, ${source.constant(expectation(slot.type, slot.nullable))}, ${x})`
    if (slot.physical === 'struct') {
      source.block(`if (typeof ${x} === 'object' && ${x} !== null && !Array.isArray(${x}))`, () => {
        for (const child of slot.children) this.#field(this.#slot(all, child), all, x)
      })
    } else this.#leaf(slot, x, refuse)
    if (slot.nullable) {
      source.block(`else if (${x} === null || ${x} === undefined)`, () => {
        if (!this.#writes) return
        source.line(`n${slot.index}[row] = 0; c${slot.index}.nullCount++`)
        this.#zero(slot, all)
      })
    }
    source.line(`else ${refuse}`)
  }

  /** `if (fits) { write }`, without the else. */
  #leaf(slot: ColumnSlot, x: string, refuse: string): void {
    const source = this.#source
    const s = slot.index
    const v = `v${s}`
    const write = (text: string): void => {
      if (this.#writes) source.line(text)
    }
    switch (slot.type.kind) {
      case 'boolean':
        source.block(`if (typeof ${x} === 'boolean')`, () => write(`${v}[row] = ${x} ? 1 : 0`))
        return
      case 'byte':
        source.block(`if (typeof ${x} === 'number' && (${x} << 24 >> 24) === ${x})`, () => write(`${v}[row] = ${x}`))
        return
      case 'short':
        source.block(`if (typeof ${x} === 'number' && (${x} << 16 >> 16) === ${x})`, () => write(`${v}[row] = ${x}`))
        return
      case 'int':
      case 'yearMonthInterval':
        source.block(`if (typeof ${x} === 'number' && (${x} | 0) === ${x})`, () => write(`${v}[row] = ${x}`))
        return
      case 'long':
      case 'dayTimeInterval':
        source.block(`if (typeof ${x} === 'number' && Number.isSafeInteger(${x}))`, () => this.#words(v, x))
        return
      case 'timestamp':
        source.block(`if (typeof ${x} === 'number' && Number.isSafeInteger(${x}))`, () => this.#words(v, x))
        source.block(`else if (typeof ${x} === 'object' && ${x} !== null)`, () => {
          source.line(`const ms = ${source.constant(timestampOf)}(${x})`)
          source.line(`if (ms !== ms) ${refuse}`)
          this.#words(v, 'ms')
        })
        return
      case 'bigint':
        source.block(`if (typeof ${x} === 'bigint')`, () => {
          source.line(`if (BigInt.asIntN(64, ${x}) !== ${x}) ${refuse}`)
          write(`g${s}[row] = ${x}`)
        })
        source.block(`else if (typeof ${x} === 'number' && Number.isSafeInteger(${x}))`, () => this.#words(v, x))
        return
      case 'float':
      case 'double':
        source.block(`if (typeof ${x} === 'number')`, () => write(`${v}[row] = ${x}`))
        return
      case 'date':
        source.block(`if (typeof ${x} === 'string')`, () => {
          source.line(`const days = ${source.constant(dateOf)}(${x})`)
          source.line(`if (days !== days) ${refuse}`)
          write(`${v}[row] = days`)
        })
        return
      case 'decimal': {
        const { precision, scale } = slot.type
        const target = this.#writes ? `c${s}` : source.constant(decimalScratch)
        source.block(`if (typeof ${x} === 'string' || typeof ${x} === 'number')`, () => {
          source.line(
            `if (!${source.constant(writeDecimal)}(${target}, ${this.#writes ? 'row' : '0'}, ${x}, ${precision}, ${scale})) ${refuse}`,
          )
        })
        return
      }
      case 'string':
        source.block(`if (typeof ${x} === 'string')`, () => this.#string(slot, x))
        return
      case 'binary':
        source.block(`if (${source.constant(isBytes)}(${x}))`, () => {
          if (!this.#writes) {
            source.line(`size += ${x}.length`)
            return
          }
          source.line(`const l = ${x}.length`)
          this.#room(s, 'l')
          source.line(`b.set(${x}, e)`)
          source.line(`e${s}[part] = ${v}[row + 1] = e + l`)
        })
        return
      case 'array':
      case 'map': {
        // What does not fit is named by its place in the array, so the check is fieldFromUser's, which throws.
        const field = source.constant({ name: '', type: slot.type, nullable: slot.nullable })
        const root = source.constant((index: number) => `${rootPath(this.options, index)}.${slot.path.join('.')}`)
        source.block(`if (${x} !== null && ${x} !== undefined)`, () => {
          const read = `${source.constant(fieldFromUser)}(${field}, ${x}, ${root}(index))`
          source.line(`const bytes = ${source.constant(encodeNested)}(${source.constant(slot.type)}, ${read})`)
          if (!this.#writes) {
            source.line('size += bytes.length')
            return
          }
          source.line('const l = bytes.length')
          this.#room(s, 'l')
          source.line('b.set(bytes, e)')
          source.line(`e${s}[part] = ${v}[row + 1] = e + l`)
        })
        return
      }
      case 'void':
        source.line('if (false) {}')
        return
      default:
        assert(false, `no writer for ${slot.type.kind}`)
    }
  }

  /** A safe integer as two words. */
  #words(v: string, x: string): void {
    if (this.#writes) this.#source.line(`${v}[2 * row] = ${x} | 0; ${v}[2 * row + 1] = Math.floor(${x} / 4294967296)`)
  }

  #string(slot: ColumnSlot, x: string): void {
    const source = this.#source
    const s = slot.index
    if (!this.#writes) {
      source.line(`size += ${x}.length * 3`)
      return
    }
    source.line(`const l = ${x}.length`)
    if (this.#joins) {
      source.block(`if (l <= ${JOINED_LENGTH_MAX})`, () => {
        source.line(`t${s}[part] += ${x}`)
        source.line(`e${s}[part] = v${s}[row + 1] = e${s}[part] + l`)
      })
      source.block('else', () => {
        source.block(`if (t${s}[part] !== '')`, () => this.#writeText(s, 'index'))
        this.#room(s, 'l * 3')
        source.line(`e${s}[part] = v${s}[row + 1] = ${source.constant(writeLongUtf8)}(b, e, ${x})`)
      })
      return
    }
    this.#room(s, 'l * 3')
    source.block(`if (l < ${LONG_STRING_LENGTH})`, () => {
      // Two characters a turn, and one look at the end whether all were ASCII: 15 % quicker than one by one.
      source.line('let seen = 0, j = 0')
      source.block('for (; j + 1 < l; j += 2)', () => {
        source.line(`const c = ${x}.charCodeAt(j), d = ${x}.charCodeAt(j + 1)`)
        source.line('seen |= c | d')
        source.line('b[e + j] = c')
        source.line('b[e + j + 1] = d')
      })
      source.block('if (j < l)', () => {
        source.line(`const c = ${x}.charCodeAt(j)`)
        source.line('seen |= c')
        source.line('b[e + j] = c')
      })
      source.line(`e = seen < 128 ? e + l : ${source.constant(writeUtf8From)}(b, e, ${x}, 0)`)
    })
    source.line(`else e = ${source.constant(writeLongUtf8)}(b, e, ${x})`)
    source.line(`e${s}[part] = v${s}[row + 1] = e`)
  }

  /** What was joined for each part. */
  #writeTexts(s: number): void {
    this.#source.block(`for (let part = 0; part < t${s}.length; part++)`, () => {
      this.#source.block(`if (t${s}[part] !== '')`, () => this.#writeText(s, 'to'))
    })
  }

  /** What was joined for `part` of the records before index `end`. */
  #writeText(s: number, end: string): void {
    const write = this.#source.constant(writeJoined)
    this.#source.line(`${write}(builder, ${s}, part, t${s}[part], rows, parts, from - first, ${end} - first)`)
    this.#source.line(`t${s}[part] = ''`)
  }

  /** Makes `b` and `e`: the part's bytes with room for `length` more, and their end. */
  #room(s: number, length: string): void {
    this.#source.line(`let b = p${s}[part], e = e${s}[part]`)
    this.#source.line(`if (e + ${length} > b.length) b = builder.ensurePartBytes(${s}, part, e, e + ${length})`)
  }

  /** The value of a row that is null, or lies in a struct that is. */
  #zero(slot: ColumnSlot, all: ReadonlyMap<number, ColumnSlot>): void {
    const s = slot.index
    const source = this.#source
    switch (slot.physical) {
      case 'bytes':
        source.line(`v${s}[row + 1] = e${s}[part]`)
        return
      case 'i64':
        source.line(`v${s}[2 * row] = 0; v${s}[2 * row + 1] = 0`)
        return
      case 'i128':
        source.line(`v${s}[4 * row] = 0; v${s}[4 * row + 1] = 0; v${s}[4 * row + 2] = 0; v${s}[4 * row + 3] = 0`)
        return
      case 'struct':
        for (const child of slot.children) this.#zero(this.#slot(all, child), all)
        return
      default:
        source.line(`v${s}[row] = 0`)
    }
  }

  #slot(all: ReadonlyMap<number, ColumnSlot>, index: number): ColumnSlot {
    const slot = all.get(index)
    assert(slot !== undefined, `slot ${index} is not in the group`)
    return slot
  }
}

type Failure = (index: number, path: string, expected: string, found: unknown) => never

/** One for all encoders with the same paths, so that the functions of equal schemas are shared; see compiled-functions.ts. */
const failures = new Map<string, Failure>()

function failureOf(options: RowEncoderOptions): Failure {
  const root = `${options.root} ${options.unwrap}`
  let failure = failures.get(root)
  if (failure === undefined) {
    failure = (index, path, expected, found) => {
      throw invalidValue(`${rootPath(options, index)}${path}`, found, expected)
    }
    failures.set(root, failure)
  }
  return failure
}

/** Where validation alone writes its decimals. */
const decimalScratch = { big: new BigInt64Array(2) }
