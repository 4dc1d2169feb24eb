import type { FunctionSource } from '../common/function-source.js'
import { broadcastGrouping, rowSlots } from '../operator/broadcast-join.js'
import { inputSlots } from '../plan/bound-expression.js'
import type { BroadcastJoin } from '../plan/physical-plan.js'
import { GroupPlaces } from '../state/group-table.js'
import type { LookupTable } from '../state/lookup-table.js'
import { columnSlots } from '../types/data-type.js'
import { anyNull, type CodeValue } from './code-value.js'
import { GroupCode } from './group-code.js'
import type { Evaluate, Level } from './row-level.js'
import type { PipelineSpec } from './stage-functions.js'
import { rowsOfBuilder, StoreInput } from './store-access.js'
import { asBytes } from './text-scratch.js'

/**
 * Code that finds the matches of the row at hand in a table that the task has, in the middle of the loop over the rows:
 *
 *   find the row's key                         its chain of rows in the table, or 0
 *   for each row of the chain (and none)       the condition, and whatever comes behind the join
 *
 * A `continue` of what comes behind goes on with the next match.
 */
export class BroadcastCode {
  readonly table: LookupTable | undefined
  readonly #name: string
  readonly #group: GroupCode

  constructor(
    private readonly source: FunctionSource,
    private readonly join: BroadcastJoin,
    place: number,
    { tables, ansi }: PipelineSpec,
    private readonly evaluate: Evaluate,
  ) {
    // Without tables only the text is wanted.
    this.table = tables?.get(join.table.name)
    this.#name = `j${place}`
    this.#group = new GroupCode(source, broadcastGrouping(join), false, ansi, this.table?.keys)
  }

  /** `behind` writes what is done with each row that comes out, whose columns it is given. */
  each(row: Level, behind: (joined: Level) => void): void {
    const { source, join } = this
    const j = this.#name
    const next = source.constant(this.table?.next ?? 'the next row of each')
    this.#find(row)
    const { how, condition } = join
    if (how === 'inner') {
      source.block(`for (let ${j}_m = ${j}; ${j}_m !== 0;)`, () => {
        source.line(`const ${j}_q = ${j}_m - 1; ${j}_m = ${next}[${j}_q];`)
        const stored = this.#stored('false')
        this.#unless(row, stored, 'continue;')
        behind(this.#joined(row, stored))
      })
    } else if (how === 'left') {
      this.#preload(row)
      source.line(`let ${j}_hit = false;`)
      source.block(`for (let ${j}_m = ${j};;)`, () => {
        // The row comes once more, without a match, where none was found.
        source.line(`const ${j}_none = ${j}_m === 0;`)
        source.line(`if (${j}_none && ${j}_hit) break;`)
        source.line(`const ${j}_q = ${j}_none ? 0 : ${j}_m - 1;`)
        if (condition === undefined) source.line(`${j}_hit = true; if (!${j}_none) ${j}_m = ${next}[${j}_q];`)
        else {
          source.block(`if (!${j}_none)`, () => {
            source.line(`${j}_m = ${next}[${j}_q];`)
            this.#unless(row, this.#stored('false'), 'continue;')
          })
          source.line(`${j}_hit = true;`)
        }
        behind(this.#joined(row, this.#stored(`${j}_none`)))
      })
    } else {
      const wanted = how === 'leftSemi'
      if (condition === undefined) source.line(`if (${j} ${wanted ? '===' : '!=='} 0) continue;`)
      else {
        this.#preload(row)
        source.line(`let ${j}_hit = false;`)
        source.block(`for (let ${j}_m = ${j}; ${j}_m !== 0;)`, () => {
          source.line(`const ${j}_q = ${j}_m - 1; ${j}_m = ${next}[${j}_q];`)
          this.#unless(row, this.#stored('false'), 'continue;')
          source.line(`${j}_hit = true; break;`)
        })
        source.line(`if (${wanted ? '!' : ''}${j}_hit) continue;`)
      }
      behind({ schema: join.schema, load: (slot) => row.load(slot) })
    }
  }

  /** The number of the first row of the key's chain + 1 into the local of this join; 0 where there is none, and where a part of the key is null. */
  #find(row: Level): void {
    const { source, join } = this
    const group = this.#group
    const keys = join.keys.map((key) => asBytes(source, this.evaluate(key, row)))
    const nullKey = anyNull(...keys.map((key) => key.isNull))
    const { numbers } = new GroupPlaces(group.layout)
    source.line(`let ${this.#name} = 0;`)
    // Its locals have the names of a table that the loop fills.
    source.block(nullKey === 'false' ? '' : `if (!(${nullKey}))`, () => {
      // Where only the text is wanted there is no table to take constants from.
      if (this.table === undefined) source.line('const T = {};')
      group.take(true)
      group.words(keys)
      group.hash(keys)
      group.find(keys)
      source.line(`if (e >= 0) ${this.#name} = cells[d + ${numbers[0]}];`)
    })
  }

  #stored(absent: string): StoreInput {
    const j = this.#name
    return new StoreInput(
      this.source,
      this.join.table.schema,
      `${j}_q`,
      rowsOfBuilder(this.table?.rows),
      `${j}s`,
      absent,
    )
  }

  /** What the condition reads of the row, read once and not for every match, nor inside a branch. */
  #preload(row: Level): void {
    const { condition } = this.join
    for (const slot of condition === undefined ? [] : inputSlots(condition)) {
      const own = this.#ofRow(slot)
      if (own !== undefined) row.load(own)
    }
  }

  #unless(row: Level, stored: StoreInput, otherwise: string): void {
    const { condition } = this.join
    if (condition === undefined) return
    const holds = this.evaluate(condition, { schema: this.join.schema, load: (slot) => this.#load(row, stored, slot) })
    const fails = holds.isNull === 'false' ? `!${holds.value}` : `${holds.isNull} || !${holds.value}`
    this.source.line(`if (${fails}) ${otherwise}`)
  }

  #joined(row: Level, stored: StoreInput): Level {
    return { schema: this.join.schema, load: (slot) => this.#load(row, stored, slot) }
  }

  #load(row: Level, stored: StoreInput, slot: number): CodeValue {
    const own = this.#ofRow(slot)
    return own === undefined ? stored.load(this.join.tableFirst ? slot : slot - rowSlots(this.join)) : row.load(own)
  }

  /** The slot of the row that is behind a slot of the join. */
  #ofRow(slot: number): number | undefined {
    if (!this.join.tableFirst) return slot < rowSlots(this.join) ? slot : undefined
    const tableSlots = columnSlots(this.join.table.schema).length
    return slot < tableSlots ? undefined : slot - tableSlots
  }
}
