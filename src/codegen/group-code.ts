import { assert, present } from '../common/assert.js'
import type { FunctionSource } from '../common/function-source.js'
import { type AggregateForm, accumulatorCells, aggregateForm, groupLayout, sumType } from '../operator/aggregate.js'
import type { BoundAggregate } from '../plan/expression.js'
import type { FinalAggregate, Grouping } from '../plan/physical-plan.js'
import {
  bytesEqual,
  type GroupLayout,
  GroupPlaces,
  type GroupTable,
  HEAD_HASH,
  HEAD_KEY_HASH,
  HEAD_NULLS,
  KEY_LENGTH,
  KEY_WORD_BYTES,
  KEY_WORDS,
} from '../state/group-table.js'
import { combineHash, hashBigint, hashDouble, hashInteger, NULL_HASH } from '../state/hash.js'
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
import { bytesOf, extremeLine, isFloating, number, numberOf, or } from './group-values.js'
import { declareKeyWords, keyLocals } from './key-words.js'

/**
 * Code that works on the columns of a GroupTable `T`: find or insert a group, update its cells from a row,
 * merge cells that come from another table, and read groups out as state rows or as result rows. The
 * columns are held in locals and taken anew after an insert, which may have replaced them; those of a table of fixed
 * capacity are constants of the code.
 */
export class GroupCode {
  readonly layout: GroupLayout
  readonly #places: GroupPlaces
  readonly #cellsOf: readonly (readonly number[])[]

  constructor(
    private readonly source: FunctionSource,
    private readonly grouping: Grouping,
    windowInKey: boolean,
    private readonly ansi: boolean,
    /** The one table that the code is for, where its capacity is fixed. */
    private readonly fixed?: GroupTable,
  ) {
    assert(fixed?.fixed !== false, 'a table that grows is not a constant')
    this.layout = groupLayout(grouping, windowInKey)
    this.#places = new GroupPlaces(this.layout)
    let next = 0
    this.#cellsOf = grouping.aggregates.map((aggregate) => accumulatorCells(aggregate, grouping).map(() => next++))
  }

  /** Before the row loop (`declare`), and after `T` was set to another table. */
  take(declare: boolean): void {
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
    keys.forEach((key, i) => {
      if (this.layout.keys[i] === 'bytes') declareKeyWords(this.source, i, bytesOf(key))
    })
  }

  /** Hash of the key into the local `h`. */
  hash(keys: readonly CodeValue[]): void {
    const combine = this.source.constant(combineHash)
    if (keys.length === 0) {
      this.source.line('const h = 0;')
      return
    }
    const parts = keys.map((key, i) => {
      const plain = this.#hashOf(key, i)
      return key.isNull === 'false' ? plain : `(${key.isNull} ? ${NULL_HASH} : ${plain})`
    })
    this.source.line(`const h = ${parts.reduce((all, part) => `${combine}(${all}, ${part})`)};`)
  }

  /**
   * The entry of the group into the local `e`, made where it is new; `d` is where its cells begin. `h` is the key's hash,
   * and where the window is in the key, `ws` its start and `wh` the hash of that.
   */
  findOrInsert(keys: readonly CodeValue[]): void {
    const source = this.source
    const places = this.#places
    const window = places.window >= 0
    source.line(window ? 'const sh = h ^ wh;' : 'const sh = h;')
    if (this.layout.nullableKeys) {
      const bits = keys.map((key, i) => (key.isNull === 'false' ? '0' : `(${key.isNull} ? ${1 << i} : 0)`))
      source.line(`const nm = ${bits.join(' | ')};`)
    }
    const tests: string[] = []
    if (this.layout.nullableKeys) tests.push(`heads[q + ${HEAD_NULLS}] === nm`)
    keys.forEach((key, i) => tests.push(this.#equals(key, i)))
    if (window) tests.push(`cells[d + ${places.window}] === ws`)
    source.line('let at = sh & mask, e = -1, d = 0;')
    source.block('for (;;)', () => {
      source.line('const x = index[at];')
      source.line('if (x === 0) break;')
      source.line(`const q = (x - 1) * ${places.headInts};`)
      source.block(`if (heads[q + ${HEAD_HASH}] === sh)`, () => {
        source.line(`d = (x - 1) * ${places.cellDoubles};`)
        source.line(`if (${tests.length === 0 ? 'true' : tests.join(' && ')}) { e = x - 1; break; }`)
      })
      source.line('at = (at + 1) & mask;')
    })
    source.block('if (e < 0)', () => {
      source.line('e = T.insert(sh, h);')
      keys.forEach((key, i) => {
        if (this.layout.keys[i] !== 'bytes') return
        const bytes = bytesOf(key)
        source.line(`const p${i} = T.store(${bytes.u8}, ${bytes.start}, ${bytes.end});`)
      })
      this.take(false)
      source.line(`d = e * ${places.cellDoubles};`)
      source.line(`const q = e * ${places.headInts};`)
      if (window) source.line(`cells[d + ${places.window}] = ws;`)
      if (this.layout.nullableKeys) source.line(`heads[q + ${HEAD_NULLS}] = nm;`)
      keys.forEach((key, i) => {
        const part = this.layout.keys[i]
        if (part === 'number') source.line(`cells[d + ${places.keyNumbers[i]}] = ${numberOf(key)};`)
        if (part === 'boxed') source.line(`kb${i}[e] = ${key.value};`)
        if (part === 'bytes') {
          const at = places.keyBytes[i] as number
          const { length, words } = keyLocals(i)
          source.line(`heads[q + ${at}] = p${i}; heads[q + ${at + KEY_LENGTH}] = ${length};`)
          source.line(words.map((word, k) => `heads[q + ${at + KEY_WORDS + k}] = ${word};`).join(' '))
        }
      })
    })
  }

  /** Before storeState() or storeResult() of entry `e`. */
  locate(): void {
    this.source.line(`const q = e * ${this.#places.headInts}, d = e * ${this.#places.cellDoubles};`)
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

  /** Entry `e` as a state row; `window` is the JS expression of the window's start. */
  storeState(output: BlockOutput, window: string): void {
    let slot = 0
    output.store(slot++, number(`heads[q + ${HEAD_KEY_HASH}]`, 'int'))
    this.grouping.keys.forEach((_, i) => output.store(slot++, this.#keyValue(i)))
    if (this.grouping.window !== undefined) {
      const inKey = this.#places.window
      output.store(slot++, number(inKey < 0 ? window : `cells[d + ${inKey}]`, 'timestamp'))
    }
    this.layout.cells.forEach((cell, j) => {
      const value = this.#cell(j)
      if (cell.kind === 'number') output.store(slot++, number(value, 'double'))
      else output.store(slot++, { type: this.#boxedType(j), isNull: `(${value} === null)`, value })
    })
  }

  /** Entry `e` as a result row of the final aggregate. */
  storeResult(output: BlockOutput, final: FinalAggregate, window: string): void {
    const grouping = this.grouping
    const slots = columnSlots(final.schema).filter((slot) => slot.parent === -1)
    let field = 0
    const nextSlot = (): number => present(slots[field++], 'a result field').index
    const putWindow = (): void => {
      const slot = nextSlot()
      output.store(slot, { type: { kind: 'timestamp' }, isNull: 'false', value: '' })
      output.store(slot + 1, number(window, 'timestamp'))
      output.store(slot + 2, number(`(${window} + ${grouping.window?.sizeMs ?? 0})`, 'timestamp'))
    }
    for (let i = 0; i <= grouping.keys.length; i++) {
      if (grouping.window?.position === i) putWindow()
      if (i < grouping.keys.length) output.store(nextSlot(), this.#keyValue(i))
    }
    grouping.aggregates.forEach((aggregate, i) => {
      storeParts(this.source, output, nextSlot(), this.#finish(aggregate, present(this.#cellsOf[i], 'cells')))
    })
  }

  #keyValue(i: number): CodeValue {
    const type = present(this.grouping.keys[i], `key ${i}`).value.type
    const isNull =
      this.grouping.keys[i]?.value.nullable === true ? `((heads[q + ${HEAD_NULLS}] & ${1 << i}) !== 0)` : 'false'
    const part = this.layout.keys[i]
    if (part === 'bytes') {
      const start = `heads[q + ${this.#places.keyBytes[i]}]`
      const end = `(${start} + heads[q + ${(this.#places.keyBytes[i] as number) + KEY_LENGTH}])`
      return { type, isNull, value: '', bytes: { u8: 'arena', dv: 'arenaView', start, end } }
    }
    if (part === 'boxed') return { type, isNull, value: `kb${i}[e]` }
    const value = `cells[d + ${this.#places.keyNumbers[i]}]`
    return { type, isNull, value: type.kind === 'boolean' ? `(${value} !== 0)` : value }
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
        const result = this.source.fresh('f')
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
    const at = this.#places.numbers[cell] as number
    return at < 0 ? `b${cell}[e]` : `cells[d + ${at}]`
  }

  #copied(value: CodeValue): string {
    const bytes = bytesOf(value)
    return `${bytes.u8}.slice(${bytes.start}, ${bytes.end})`
  }

  #hashOf(key: CodeValue, i: number): string {
    const part = this.layout.keys[i]
    if (part === 'bytes') return keyLocals(i).hash
    if (part === 'boxed') return `${this.source.constant(hashBigint)}(${key.value})`
    const floating = isFloating(key.type)
    return `${this.source.constant(floating ? hashDouble : hashInteger)}(${numberOf(key)})`
  }

  #equals(key: CodeValue, i: number): string {
    const part = this.layout.keys[i]
    if (part === 'bytes') {
      const bytes = bytesOf(key)
      const equal = this.source.constant(bytesEqual)
      const at = this.#places.keyBytes[i] as number
      const { length, words } = keyLocals(i)
      const same = [length, ...words].map((local, k) => `heads[q + ${at + KEY_LENGTH + k}] === ${local}`).join(' && ')
      const behind = `heads[q + ${at}] + ${KEY_WORD_BYTES}, ${bytes.dv}, ${bytes.start} + ${KEY_WORD_BYTES}`
      return `${same} && (${length} <= ${KEY_WORD_BYTES} || ${equal}(arenaView, ${behind}, ${length} - ${KEY_WORD_BYTES}))`
    }
    if (part === 'boxed') return `kb${i}[x - 1] === ${key.value}`
    const value = numberOf(key)
    const held = `cells[d + ${this.#places.keyNumbers[i]}]`
    const nan = isFloating(key.type) ? ` || (${value} !== ${value} && ${held} !== ${held})` : ''
    return `(${held} === ${value}${nan})`
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
