import { present } from '../common/assert.js'
import { broadcastGrouping, rowSlots } from '../operator/broadcast-join.js'
import { inputSlots } from '../plan/bound-expression.js'
import type { BroadcastJoin } from '../plan/physical-plan.js'
import type { LookupTable } from '../state/lookup-table.js'
import { columnSlots } from '../types/data-type.js'
import { GroupInterpreter } from './group-interpreter.js'
import { interpret } from './interpreter.js'
import { evaluator, type MatchedRow, type RowLevel, type Slots, slotReaders } from './row-interpreter.js'
import type { PipelineSpec } from './stage-functions.js'
import type { Value } from './value.js'

/** What broadcast-code.ts generates, interpreted. */
export function interpretMatches(join: BroadcastJoin, row: RowLevel, spec: PipelineSpec): MatchedRow {
  return new BroadcastRow(join, row, spec)
}

class BroadcastRow implements MatchedRow {
  readonly values: Slots = []
  readonly #table: LookupTable
  readonly #group: GroupInterpreter
  readonly #keys: readonly (() => Value | null)[]
  readonly #holds: (() => boolean) | undefined
  /** Slots of the row that the condition reads: computed once, before the matches are gone through, so that they may fail where there is none. */
  readonly #read: readonly number[]
  readonly #readers: ReturnType<typeof slotReaders>
  readonly #own: number
  readonly #stored: number
  readonly #nothing: Slots
  /** The columns of the match at hand. */
  #match: Slots

  constructor(
    private readonly join: BroadcastJoin,
    private readonly row: RowLevel,
    spec: PipelineSpec,
  ) {
    const { table, condition } = join
    this.#table = present(spec.tables?.get(table.name), `the table ${table.name}`)
    this.#group = new GroupInterpreter(broadcastGrouping(join), false, spec.ansi)
    this.#keys = join.keys.map((key) => evaluator(key, row, spec))
    this.#readers = slotReaders(table.schema, undefined)
    this.#own = rowSlots(join)
    this.#stored = columnSlots(table.schema).length
    this.#nothing = new Array<null>(this.#stored).fill(null)
    this.#match = this.#nothing
    const slots = condition === undefined ? [] : inputSlots(condition)
    this.#read = join.how === 'inner' ? [] : slots.filter((slot) => !this.#isOfTable(slot))
    if (condition !== undefined) {
      const evaluate = interpret(condition, spec)
      this.#holds = () => {
        for (const slot of slots) this.load(slot)
        return evaluate(this.values) === true
      }
    }
  }

  /** The columns of the table, or those of the row, come first. */
  get #first(): number {
    return this.join.tableFirst ? this.#stored : this.#own
  }

  #isOfTable(slot: number): boolean {
    return slot < this.#first === this.join.tableFirst
  }

  load(slot: number): Value | null {
    const at = slot < this.#first ? slot : slot - this.#first
    const value = this.#isOfTable(slot) ? (this.#match[at] ?? null) : this.row.load(at)
    this.values[slot] = value
    return value
  }

  each(next: () => void): void {
    const { how } = this.join
    const pairs = how === 'inner' || how === 'left'
    let hit = false
    let x = this.#begin()
    for (const slot of this.#read) this.load(slot)
    while (x !== 0) {
      const q = x - 1
      x = this.#table.next[q] as number
      const { views, position } = this.#table.rows.toBlock(q, q + 1)
      this.#match = this.#readers.map((read) => read(views, position, 0) as Value | null)
      if (this.#holds?.() === false) continue
      hit = true
      if (!pairs) break
      next()
    }
    this.#match = this.#nothing
    if ((how === 'left' || how === 'leftAnti') && !hit) next()
    if (how === 'leftSemi' && hit) next()
  }

  /** The number of the first row of the key + 1, or 0. */
  #begin(): number {
    const keys = this.#keys.map((key) => key())
    if (keys.includes(null)) return 0
    const T = this.#table.keys
    const at = this.#group.find(T, keys, this.#group.hash(keys), [])
    if (at < 0) return 0
    const e = (T.index[at] as number) - 1
    return T.cells[e * T.places.cellDoubles + (T.places.numbers[0] as number)] as number
  }
}
