import { assert, present } from '../common/assert.js'
import type { FunctionSource } from '../common/function-source.js'
import {
  type AggregateForm,
  accumulatorCells,
  aggregateForm,
  groupLayout,
  sumType,
  windowNumbers,
} from '../operator/aggregate.js'
import type { BoundAggregate } from '../plan/expression.js'
import type { FinalAggregate, Grouping } from '../plan/physical-plan.js'
import { type GroupLayout, GroupPlaces, type GroupTable } from '../state/group-table.js'
import { columnSlots, type DataType } from '../types/data-type.js'
import {
  addBigint,
  averageDecimal,
  extremeOf,
  integerSumOverflow,
  nullOnOverflow,
  smallerOrGreaterBytes,
} from './aggregate-values.js'
import type { BlockOutput } from './block-access.js'
import { materialize, structField } from './code-value.js'
import type { CodeValue } from './expression-compiler.js'
import { foldOf } from './folds.js'
import { bytesOf, extremeLine, number, numberOf, or } from './group-values.js'
import { KeyCode, type TableLocals } from './key-code.js'

/**
 * Code that works on the columns of a GroupTable `T`: find or insert a group, update its cells from a row,
 * merge cells that come from another table, and read groups out as state rows or as result rows. The
 * columns are held in locals and taken anew after an insert, which may have replaced them; those of a table of fixed
 * capacity are constants of the code.
 */
export class GroupCode {
  readonly layout: GroupLayout
  readonly places: GroupPlaces
  readonly #keys: KeyCode
  readonly #cellsOf: readonly (readonly number[])[]

  constructor(
    private readonly source: FunctionSource,
    private readonly grouping: Grouping,
    partial: boolean,
    private readonly ansi: boolean,
    /** The one table that the code is for, where its capacity is fixed, or where it is complete. */
    private readonly fixed?: GroupTable,
  ) {
    assert(fixed === undefined || fixed.fixed || fixed.isComplete, 'a table that grows is not a constant')
    this.layout = groupLayout(grouping, partial)
    this.places = new GroupPlaces(this.layout)
    this.#keys = new KeyCode(source, grouping, this.layout, this.places, partial)
    let next = 0
    this.#cellsOf = grouping.aggregates.map((aggregate) => accumulatorCells(aggregate, grouping).map(() => next++))
  }

  get cellDoubles(): number {
    return this.places.cellDoubles
  }

  keyHash(locals: TableLocals): string {
    return this.#keys.keyHash(locals)
  }

  /** Before the row loop (`declare`), and after `T` was set to another table. */
  take(declare: boolean): void {
    if (declare && this.fixed?.isComplete === true) {
      const { mask, index, heads, cells, arena, arenaView, keyBoxed } = this.fixed
      const constants = { index, heads, cells, arena, arenaView }
      this.source.line(`const mask = ${mask};`)
      for (const [local, array] of Object.entries(constants))
        this.source.line(`const ${local} = ${this.source.constant(array)};`)
      this.layout.keys.forEach((part, i) => {
        if (part === 'boxed') this.source.line(`const kb${i} = ${this.source.constant(keyBoxed[i])};`)
      })
      return
    }
    if (declare && this.fixed !== undefined) {
      const { index, heads, cells } = this.fixed
      for (const [local, array] of Object.entries({ index, heads, cells })) {
        this.source.line(`const ${local} = ${this.source.constant(array)};`)
      }
    }
    for (const [local, from] of this.#locals()) this.source.line(`${declare ? 'let ' : ''}${local} = ${from};`)
  }

  localNames(): readonly string[] {
    return this.#locals().map(([local]) => local)
  }

  #locals(): readonly (readonly [string, string])[] {
    const names: [string, string][] = [
      ['mask', 'T.mask'],
      ['arena', 'T.arena'],
      ['arenaView', 'T.arenaView'],
      ['flags', 'T.flags'],
    ]
    if (this.fixed === undefined) names.push(['index', 'T.index'], ['heads', 'T.heads'], ['cells', 'T.cells'])
    this.layout.keys.forEach((part, i) => {
      if (part === 'boxed') names.push([`kb${i}`, `T.keyBoxed[${i}]`])
    })
    this.layout.cells.forEach((cell, j) => {
      if (cell.kind === 'boxed') names.push([`b${j}`, `T.boxed[${j}]`])
    })
    return names
  }

  /** The first words of keys of bytes into locals, and their hashes. Before hash() and findOrInsert(). */
  words(keys: readonly CodeValue[]): void {
    this.#keys.words(keys)
  }

  /** Hash of the key into the local `h`. */
  hash(keys: readonly CodeValue[]): void {
    this.#keys.hash(keys)
  }

  /** The entry of the group into the local `e`, -1 where there is none; `d` is where its cells begin. See KeyCode. */
  find(keys: readonly CodeValue[]): void {
    this.#keys.find(keys)
  }

  /** The same, and it is made where it is new. */
  findOrInsert(keys: readonly CodeValue[]): void {
    this.#keys.findOrInsert(keys, () => this.take(false))
  }

  /** Before storeState() or storeResult() of entry `e`. */
  locate(): void {
    this.source.line(`const q = e * ${this.places.headInts}, d = e * ${this.places.cellDoubles};`)
  }

  /** Folds one row's argument into the cells of aggregate `i`. */
  update(i: number, argument: CodeValue | undefined): void {
    const aggregate = present(this.grouping.aggregates[i], `aggregate ${i}`)
    const cells = present(this.#cellsOf[i], `cells of aggregate ${i}`)
    if (argument === undefined) {
      this.source.line(`${this.#cell(cells[0])} += 1;`)
      return
    }
    const lines = this.#updateLines(aggregateForm(aggregate), aggregate, cells, argument)
    if (argument.isNull === 'false') for (const line of lines) this.source.line(line)
    else {
      this.source.block(`if (!${argument.isNull})`, () => {
        for (const line of lines) this.source.line(line)
      })
    }
  }

  /** Folds the cells of a state row into the group's; `cell(j)` is the row's value of cell j. */
  merge(cell: (j: number) => CodeValue): void {
    this.grouping.aggregates.forEach((aggregate, i) => {
      const cells = present(this.#cellsOf[i], `cells of aggregate ${i}`)
      const values = cells.map(cell)
      const form = aggregateForm(aggregate)
      const first = values[0] as CodeValue
      const add = (k: number): void => {
        const c = cells[k]
        if (c !== undefined) this.source.line(`${this.#cell(c)} += ${(values[k] as CodeValue).value};`)
      }
      switch (form) {
        case 'count':
          add(0)
          break
        case 'sumInteger':
          this.source.line(this.#integerLine(this.#cell(cells[0]), first.value))
          add(1)
          break
        case 'sumDouble':
        case 'avgDouble':
          for (const line of this.#twoSum(cells, first.value)) this.source.line(line)
          add(1)
          add(2)
          break
        case 'extremeNumber':
          this.source.line(extremeLine(aggregate, this.#cell(cells[0]), first.value))
          add(1)
          break
        case 'fold': {
          const { value } = materialize(this.source, first)
          const c = this.#cell(cells[0])
          this.source.line(`if (!${first.isNull}) ${c} = ${this.#fold(aggregate)}.merge(${c}, ${value});`)
          break
        }
        default:
          this.source.block(`if (!${first.isNull})`, () => {
            for (const line of this.#updateLines(form, aggregate, cells.slice(0, 1), first)) this.source.line(line)
          })
          if (form === 'avgBoxed') add(1)
      }
    })
  }

  /** Overwrites the group's cells by a state row's. */
  replace(cell: (j: number) => CodeValue): void {
    this.layout.cells.forEach((layout, j) => {
      const value = cell(j)
      if (layout.kind === 'number') this.source.line(`${this.#cell(j)} = ${value.value};`)
      else {
        const isText = value.type.kind === 'string'
        const boxed = isText ? this.#copied(value) : materialize(this.source, value).value
        this.source.line(`${this.#cell(j)} = ${value.isNull} ? null : ${boxed};`)
      }
    })
  }

  /** Entry `e` as a state row; `outside` are the window's numbers where the entry does not have them. */
  storeState(output: BlockOutput, outside: readonly string[]): void {
    let slot = 0
    output.store(slot++, number(this.#keys.keyHash(), 'int'))
    this.grouping.keys.forEach((_, i) => output.store(slot++, this.#keys.value(i)))
    const count = windowNumbers(this.grouping, true)
    for (let k = 0; k < count; k++) output.store(slot++, number(this.windowNumber(k, outside), 'timestamp'))
    this.layout.cells.forEach((cell, j) => {
      const value = this.#cell(j)
      if (cell.kind === 'number') output.store(slot++, number(value, 'double'))
      else output.store(slot++, { type: this.#boxedType(j), isNull: `(${value} === null)`, value })
    })
  }

  /** The window's number `k` of entry `e`: its own, or what is said of the whole table. */
  windowNumber(k: number, outside: readonly string[]): string {
    return this.places.window < 0
      ? present(outside[k], 'a number of the window')
      : `cells[d + ${this.places.window + k}]`
  }

  /** Entry `e` as a result row of the final aggregate; `windowStart` of the window that the table is for. */
  storeResult(output: BlockOutput, final: FinalAggregate, windowStart: string): void {
    const grouping = this.grouping
    const { window } = grouping
    const start = window === undefined ? '0' : this.windowNumber(0, [windowStart])
    const end = window?.kind === 'session' ? this.windowNumber(2, []) : `(${start} + ${window?.sizeMs ?? 0})`
    const slots = columnSlots(final.schema).filter((slot) => slot.parent === -1)
    let field = 0
    const nextSlot = (): number => present(slots[field++], 'a result field').index
    const putWindow = (): void => {
      const slot = nextSlot()
      output.store(slot, { type: { kind: 'timestamp' }, isNull: 'false', value: '' })
      output.store(slot + 1, number(start, 'timestamp'))
      output.store(slot + 2, number(end, 'timestamp'))
    }
    for (let i = 0; i <= grouping.keys.length; i++) {
      if (window?.position === i) putWindow()
      if (i < grouping.keys.length) output.store(nextSlot(), this.#keys.value(i))
    }
    grouping.aggregates.forEach((aggregate, i) => {
      storeParts(this.source, output, nextSlot(), this.#finish(aggregate, present(this.#cellsOf[i], 'cells')))
    })
  }

  /** Key `i` and cell `j` of the entry at hand, of this table or of another with the same cells. */
  keyOf(i: number, locals: TableLocals): CodeValue {
    return this.#keys.value(i, locals)
  }

  cellOf(j: number, locals: TableLocals): CodeValue {
    const at = this.places.numbers[j] as number
    if (at >= 0) return number(`${locals.cells}[${locals.cell} + ${at}]`, 'double')
    const value = `${locals.boxed(j)}[${locals.entry}]`
    return { type: this.#boxedType(j), isNull: `(${value} === null)`, value }
  }

  #finish(aggregate: BoundAggregate, cells: readonly number[]): CodeValue {
    const type = aggregate.type
    const a = this.#cell(cells[0])
    const counted = (k: number): string => (cells[k] === undefined ? 'false' : `(${this.#cell(cells[k])} === 0)`)
    switch (aggregateForm(aggregate)) {
      case 'count':
        return { type, isNull: 'false', value: a }
      case 'sumInteger': {
        const overflowed = this.ansi ? counted(1) : or(counted(1), `(${a} !== ${a})`)
        return { type, isNull: overflowed, value: a }
      }
      case 'sumDouble':
        return { type, isNull: counted(2), value: this.#compensated(cells) }
      case 'avgDouble':
        return { type, isNull: counted(2), value: `(${this.#compensated(cells)} / ${this.#cell(cells[2])})` }
      case 'extremeNumber':
        return { type, isNull: counted(1), value: type.kind === 'boolean' ? `(${a} !== 0)` : a }
      case 'avgBoxed': {
        const average = this.source.constant(averageDecimal(aggregate.arg?.type, type, this.ansi))
        const value = `${average}(${a}, ${this.#cell(cells[1])})`
        return { type, isNull: `(${value} === null)`, value }
      }
      case 'sumBoxed': {
        if (this.ansi) return { type, isNull: `(${a} === null)`, value: a }
        const fits = this.source.constant(nullOnOverflow(type))
        return { type, isNull: `(${fits}(${a}) === null)`, value: a }
      }
      case 'extremeBoxed':
        return { type, isNull: `(${a} === null)`, value: a }
      case 'fold': {
        const result = this.source.fresh('folded')
        this.source.line(`const ${result} = ${this.#fold(aggregate)}.finish(${a});`)
        return { type, isNull: aggregate.nullable ? `(${result} === null)` : 'false', value: result }
      }
    }
  }

  #fold(aggregate: BoundAggregate): string {
    return this.source.constant(foldOf(aggregate))
  }

  #boxedType(j: number): DataType {
    return present(this.grouping.aggregates.flatMap((a) => accumulatorCells(a, this.grouping))[j], 'a cell').type
  }

  #updateLines(
    form: AggregateForm,
    aggregate: BoundAggregate,
    cells: readonly number[],
    v: CodeValue,
  ): readonly string[] {
    const count = (k: number): string[] => (cells[k] === undefined ? [] : [`${this.#cell(cells[k])} += 1;`])
    const c = this.#cell(cells[0])
    switch (form) {
      case 'fold':
        return [`${c} = ${this.#fold(aggregate)}.update(${c}, ${materialize(this.source, v).value});`]
      case 'count':
        return count(0)
      case 'sumInteger':
        return [this.#integerLine(c, v.value), ...count(1)]
      case 'sumDouble':
      case 'avgDouble':
        return [...this.#twoSum(cells, v.value), ...count(2)]
      case 'extremeNumber':
        return [extremeLine(aggregate, c, numberOf(v)), ...count(1)]
      case 'sumBoxed':
      case 'avgBoxed': {
        const add = this.source.constant(addBigint(sumType(aggregate), this.ansi))
        return [`${c} = ${add}(${c}, ${v.value});`, ...count(1)]
      }
      case 'extremeBoxed': {
        const greatest = aggregate.fn === 'max'
        if (v.bytes === undefined) {
          const pick = this.source.constant(extremeOf(greatest))
          return [`${c} = ${pick}(${c}, ${v.value});`]
        }
        const pick = this.source.constant(smallerOrGreaterBytes(greatest))
        return [`${c} = ${pick}(${c}, ${v.bytes.u8}, ${v.bytes.start}, ${v.bytes.end});`]
      }
    }
  }

  #integerLine(cell: string, value: string): string {
    const overflow = this.source.constant(integerSumOverflow(this.ansi))
    const limit = String(Number.MAX_SAFE_INTEGER)
    return `{ const s = ${cell} + ${value}; ${cell} = s <= ${limit} && s >= -${limit} ? s : ${overflow}(s); }`
  }

  /** Knuth's two-sum: the exact error of the addition goes to the second cell, without a branch. */
  #twoSum(cells: readonly number[], value: string): readonly string[] {
    const sum = this.#cell(cells[0])
    return [
      `{ const v = ${value}, s = ${sum}, t = s + v, b = t - s;`,
      `  ${sum} = t; ${this.#cell(cells[1])} += (s - (t - b)) + (v - b); }`,
    ]
  }

  /** An infinite sum has lost its error term. */
  #compensated(cells: readonly number[]): string {
    const s = this.#cell(cells[0])
    return `(Number.isFinite(${s}) ? ${s} + ${this.#cell(cells[1])} : ${s})`
  }

  /** Where cell j of the entry lies. */
  #cell(j: number | undefined): string {
    const cell = present(j, 'a cell')
    const at = this.places.numbers[cell] as number
    return at < 0 ? `b${cell}[e]` : `cells[d + ${at}]`
  }

  #copied(value: CodeValue): string {
    const bytes = bytesOf(value)
    return `${bytes.u8}.slice(${bytes.start}, ${bytes.end})`
  }
}

/** A value into its slot, and the fields of a struct into theirs. */
function storeParts(source: FunctionSource, output: BlockOutput, slot: number, value: CodeValue): void {
  output.store(slot, value)
  if (value.type.kind !== 'struct') return
  const children = output.slots[slot]?.children ?? []
  value.type.fields.forEach((field, i) => {
    storeParts(source, output, present(children[i], 'a field'), structField(source, value, i, field.type))
  })
}
