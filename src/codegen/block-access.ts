import { present } from '../common/assert.js'
import type { FunctionSource, Section } from '../common/function-source.js'
import { BLOCK_HEADER_BYTES, DIRECTORY_BYTES, DIRECTORY_ENTRY_BYTES, DIRECTORY_VALUES } from '../types/block.js'
import { type ColumnSlot, columnSlots, type StructType } from '../types/data-type.js'
import { encodeNested } from '../types/nested-value.js'
import type { CodeValue } from './expression-compiler.js'

/**
 * Code that reads the columns of a block in place. Only slots that are asked for are declared and loaded;
 * a slot is loaded once, where it is first asked for, so callers ask at the level of the row loop and not
 * inside a branch.
 *
 * The generated function has in scope: i8 i16 i32 f32 f64 u8 dv (of the block's buffer), `pos`, and the row `r`.
 */
export class BlockInput {
  readonly slots: readonly ColumnSlot[]
  readonly #loaded = new Map<number, CodeValue>()
  readonly #nulls = new Map<number, string>()

  constructor(
    private readonly source: FunctionSource,
    private readonly prologue: Section,
    schema: StructType,
    /** Physical slot in the block for each slot of the schema; absent where they are the same. */
    private readonly physicalSlots: readonly number[] | undefined,
    private readonly prefix = 'c',
  ) {
    this.slots = columnSlots(schema)
  }

  /** Declares the views; call once before the row loop. */
  static declareViews(source: FunctionSource): void {
    source.line('const i8 = views.i8, i16 = views.i16, i32 = views.i32, f32 = views.f32, f64 = views.f64;')
    source.line('const u8 = views.u8, dv = views.dv;')
  }

  load(slot: number): CodeValue {
    const known = this.#loaded.get(slot)
    if (known !== undefined) return known
    const target = present(this.slots[slot], `slot ${slot}`)
    const value =
      target.physical === 'struct' ? this.#struct(target) : this.#emit(target, this.#nullness(target.parent))
    this.#loaded.set(slot, value)
    return value
  }

  /** The columns of its fields. */
  #struct(slot: ColumnSlot): CodeValue {
    const isNull = this.#nullness(slot.index)
    return { type: slot.type, isNull, value: 'undefined', fields: slot.children.map((child) => this.load(child)) }
  }

  /** Whether a struct is null, without its fields. */
  #nullness(slot: number): string {
    if (slot === -1) return 'false'
    const known = this.#nulls.get(slot)
    if (known !== undefined) return known
    const target = present(this.slots[slot], `slot ${slot}`)
    const { isNull } = this.#emit(target, this.#nullness(target.parent))
    this.#nulls.set(slot, isNull)
    return isNull
  }

  #emit(slot: ColumnSlot, parentNull: string): CodeValue {
    const c = `${this.prefix}${slot.index}`
    const physical = this.physicalSlots?.[slot.index] ?? slot.index
    const entry = BLOCK_HEADER_BYTES + physical * DIRECTORY_ENTRY_BYTES
    this.prologue.line(`const ${c}_e = pos + ${entry}, ${c}_at = i32[(${c}_e + ${DIRECTORY_VALUES}) >> 2];`)
    let isNull = parentNull
    if (slot.nullable) {
      // 0: no nulls in this block; 1: look at the bitmap; 2: no value at all, the buffers are absent.
      this.prologue.line(`const ${c}_bm = i32[${c}_e >> 2], ${c}_vm = pos + ${c}_bm;`)
      const absent = slot.physical === 'struct' ? '' : `${c}_at === 0 ? 2 : `
      this.prologue.line(`const ${c}_n = ${absent}${c}_bm === 0 ? 0 : 1;`)
      const bit = `(u8[${c}_vm + (r >> 3)] & (1 << (r & 7))) === 0`
      const own = `${c}_n !== 0 && (${c}_n === 2 || ${bit})`
      this.source.line(`const ${c}_null = ${parentNull === 'false' ? own : `${parentNull} || (${own})`};`)
      isNull = `${c}_null`
    }
    if (slot.physical === 'struct') return { type: slot.type, isNull, value: 'undefined' }
    if (slot.physical === 'bytes') return this.#emitBytes(slot, c, isNull)
    const shift = { bits: 0, i8: 0, i16: 1, i32: 2, f32: 2, i64: 2, f64: 3, i128: 0 }[slot.physical]
    this.prologue.line(`const ${c}_o = (pos + ${c}_at)${shift === 0 ? '' : ` >> ${shift}`};`)
    const read = readExpression(slot, `${c}_o`)
    if (isNull === 'false') {
      this.source.line(`const ${c} = ${read};`)
    } else {
      const zero =
        slot.type.kind === 'bigint' || slot.type.kind === 'decimal'
          ? '0n'
          : slot.type.kind === 'boolean'
            ? 'false'
            : '0'
      this.source.line(`let ${c} = ${zero}; if (!${isNull}) ${c} = ${read};`)
    }
    return { type: slot.type, isNull, value: c }
  }

  #emitBytes(slot: ColumnSlot, c: string, isNull: string): CodeValue {
    this.prologue.line(`const ${c}_o = (pos + ${c}_at) >> 2, ${c}_y = pos + i32[(${c}_e + ${DIRECTORY_BYTES}) >> 2];`)
    if (isNull === 'false') {
      this.source.line(`const ${c}_s = ${c}_y + i32[${c}_o + r], ${c}_t = ${c}_y + i32[${c}_o + r + 1];`)
    } else {
      this.source.line(`let ${c}_s = 0, ${c}_t = 0;`)
      this.source.line(`if (!${isNull}) { ${c}_s = ${c}_y + i32[${c}_o + r]; ${c}_t = ${c}_y + i32[${c}_o + r + 1]; }`)
    }
    return { type: slot.type, isNull, value: '', bytes: { u8: 'u8', dv: 'dv', start: `${c}_s`, end: `${c}_t` } }
  }
}

function readExpression(slot: ColumnSlot, o: string): string {
  switch (slot.physical) {
    case 'bits':
      return `(u8[${o} + (r >> 3)] & (1 << (r & 7))) !== 0`
    case 'i8':
      return `i8[${o} + r]`
    case 'i16':
      return `i16[${o} + r]`
    case 'i32':
      return `i32[${o} + r]`
    case 'f32':
      return `f32[${o} + r]`
    case 'f64':
      return `f64[${o} + r]`
    case 'i128':
      return `(dv.getBigInt64(${o} + r * 16 + 8, true) << 64n) | dv.getBigUint64(${o} + r * 16, true)`
    default:
      return slot.type.kind === 'bigint'
        ? `dv.getBigInt64((${o} + r * 2) << 2, true)`
        : `(i32[${o} + r * 2] >>> 0) + i32[${o} + r * 2 + 1] * 4294967296`
  }
}

/**
 * Code that appends rows to a BlockBuilder. In scope: `${name}` the builder and `${name}n` the number of
 * rows so far. The builder has room for the rows (`ensureRows`), but for `grows`, where it is made row by row; room for bytes is made here.
 */
export class BlockOutput {
  readonly slots: readonly ColumnSlot[]
  readonly #names: string[]

  constructor(
    private readonly source: FunctionSource,
    schema: StructType,
    private readonly name: string,
    private readonly grows = false,
  ) {
    this.slots = columnSlots(schema)
    this.#names = this.slots.map((slot) => `${name}${slot.index}`)
  }

  /** Before the row loop. */
  declare(): void {
    const B = this.name
    this.source.line(`let ${B}n = ${B}.rows${this.grows ? `, ${B}_room = ${B}.capacity` : ''};`)
    for (const slot of this.slots) {
      const o = this.#names[slot.index] as string
      this.source.line(`const ${o} = ${B}.columns[${slot.index}]; let ${o}_nulls = 0;`)
      if (slot.physical === 'bytes')
        this.source.line(`let ${o}_y = ${o}.bytes, ${o}_d = ${o}.bytesView(), ${o}_w = ${o}.bytesLength;`)
    }
    this.#takeArrays(this.grows ? 'let ' : 'const ')
  }

  #takeArrays(declaration: string): void {
    for (const slot of this.slots) {
      const o = this.#names[slot.index] as string
      const arrays = [`${o}_v = ${o}.values`, `${o}_k = ${o}.valid`]
      if (slot.type.kind === 'bigint' || slot.physical === 'i128') arrays.push(`${o}_g = ${o}.big`)
      this.source.line(`${declaration}${arrays.join(', ')};`)
    }
  }

  /** Before the first slot of a row. */
  beginRow(): void {
    if (!this.grows) return
    const B = this.name
    this.source.block(`if (${B}n === ${B}_room)`, () => {
      // What grows keeps the rows that the builder knows of.
      this.source.line(`${B}.rows = ${B}n; ${B}.ensureRows(${B}n + 1); ${B}_room = ${B}.capacity;`)
      this.#takeArrays('')
    })
  }

  /** Value of one slot of the row `${name}n`; a struct's slot takes only its nullness. */
  store(slotIndex: number, value: CodeValue): void {
    const slot = present(this.slots[slotIndex], `slot ${slotIndex}`)
    const o = this.#names[slotIndex] as string
    const n = `${this.name}n`
    const put = (): void => {
      if (slot.physical === 'struct') return
      if (slot.physical === 'bytes') this.#storeBytes(o, value)
      else this.source.line(writeStatement(slot, o, n, value.value))
    }
    if (value.isNull === 'false') {
      put()
      return
    }
    this.source.block(
      `if (${value.isNull})`,
      () => {
        this.source.line(`${o}_k[${n}] = 0; ${o}_nulls++;`)
        if (slot.physical === 'bytes') this.source.line(`${o}_v[${n} + 1] = ${o}_w;`)
        else if (slot.physical !== 'struct') this.source.line(writeStatement(slot, o, n, zeroOf(slot)))
      },
      '} else {',
    )
    put()
    this.source.line('}')
  }

  endRow(): void {
    this.source.line(`${this.name}n++;`)
  }

  /** After the row loop. */
  finish(): void {
    const B = this.name
    this.source.line(`${B}.rows = ${B}n;`)
    for (const slot of this.slots) {
      const o = this.#names[slot.index] as string
      this.source.line(`${o}.nullCount += ${o}_nulls;`)
      if (slot.physical === 'bytes') this.source.line(`${o}.bytesLength = ${o}_w;`)
    }
  }

  #storeBytes(o: string, value: CodeValue): void {
    const B = this.name
    const slot = o.slice(B.length)
    const bytes = value.bytes
    const grow = (need: string): void => {
      this.source.block(`if (${o}_w + ${need} > ${o}_y.length)`, () => {
        this.source.line(`${o}.bytesLength = ${o}_w; ${B}.ensureBytes(${slot}, ${o}_w + ${need});`)
        this.source.line(`${o}_y = ${o}.bytes; ${o}_d = ${o}.bytesView();`)
      })
    }
    if (bytes === undefined && (value.type.kind === 'array' || value.type.kind === 'map')) {
      const encoded = this.source.fresh('bytes')
      const encode = this.source.constant(encodeNested)
      this.source.line(`const ${encoded} = ${encode}(${this.source.constant(value.type)}, ${value.value});`)
      grow(`${encoded}.length`)
      this.source.line(`${o}_y.set(${encoded}, ${o}_w); ${o}_w += ${encoded}.length;`)
    } else if (bytes === undefined) {
      const encode = this.source.constant(writeText)
      grow(`${value.value}.length * 3`)
      this.source.line(`${o}_w = ${encode}(${o}_y, ${o}_w, ${value.value});`)
    } else {
      const copy = this.source.constant(copyBytes)
      const length = this.source.fresh('len')
      this.source.line(`const ${length} = ${bytes.end} - ${bytes.start};`)
      grow(length)
      this.source.line(
        `${copy}(${bytes.u8}, ${bytes.dv}, ${bytes.start}, ${length}, ${o}_y, ${o}_d, ${o}_w); ${o}_w += ${length};`,
      )
    }
    this.source.line(`${o}_v[${B}n + 1] = ${o}_w;`)
  }
}

function zeroOf(slot: ColumnSlot): string {
  return slot.type.kind === 'bigint' || slot.physical === 'i128' ? '0n' : '0'
}

function writeStatement(slot: ColumnSlot, o: string, n: string, value: string): string {
  if (slot.physical === 'i128') {
    return `${o}_g[${n} * 2] = BigInt.asIntN(64, ${value}); ${o}_g[${n} * 2 + 1] = ${value} >> 64n;`
  }
  if (slot.type.kind === 'bigint') return `${o}_g[${n}] = ${value};`
  if (slot.physical === 'i64') {
    return `${o}_v[${n} * 2] = ${value}; ${o}_v[${n} * 2 + 1] = Math.floor(${value} / 4294967296);`
  }
  if (slot.physical === 'bits') return `${o}_v[${n}] = ${value} ? 1 : 0;`
  return `${o}_v[${n}] = ${value};`
}

/** Longer ones are quicker by `set`. */
const COPIED_BY_WORDS_MAX = 48

/** Short strings are copied four bytes at a time, the last four perhaps over some that are there already. */
function copyBytes(
  from: Uint8Array,
  fromView: DataView,
  start: number,
  length: number,
  to: Uint8Array,
  toView: DataView,
  at: number,
): void {
  if (length < 4) {
    for (let i = 0; i < length; i++) to[at + i] = from[start + i] as number
  } else if (length <= COPIED_BY_WORDS_MAX) {
    const last = length - 4
    for (let i = 0; i < last; i += 4) toView.setInt32(at + i, fromView.getInt32(start + i, true), true)
    toView.setInt32(at + last, fromView.getInt32(start + last, true), true)
  } else {
    to.set(from.subarray(start, start + length), at)
  }
}

const encoder = new TextEncoder()

/** A string (as UTF-8) or bytes behind `at`; returns the new end. There is room for 3 bytes a character. */
function writeText(to: Uint8Array, at: number, value: string | Uint8Array): number {
  if (typeof value !== 'string') {
    to.set(value, at)
    return at + value.length
  }
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i)
    if (code >= 0x80) return at + i + (encoder.encodeInto(value.slice(i), to.subarray(at + i)).written as number)
    to[at + i] = code
  }
  return at + value.length
}
