import { present } from '../common/assert.js'
import type { FunctionSource } from '../common/function-source.js'
import { inputSlots } from '../plan/bound-expression.js'
import type { BoundExpression } from '../plan/expression.js'
import { columnSlots, type StructType } from '../types/data-type.js'
import { structField } from './code-value.js'
import { type CodeValue, compileExpression } from './expression-compiler.js'

/** The columns of the row at hand, behind one operator of a pipeline. A column is computed where it is first asked for. */
export interface Level {
  readonly schema: StructType
  load(slot: number): CodeValue
}

/** Code for expressions over the columns of a level. */
export type Evaluate = (expression: BoundExpression, level: Level) => CodeValue

export function evaluator(source: FunctionSource, ansi: boolean): Evaluate {
  return (expression, level) => {
    for (const slot of inputSlots(expression)) level.load(slot)
    return compileExpression(source, expression, (slot) => level.load(slot), { ansi })
  }
}

/** The rows after a projection: a column is computed where it is first used, at the level of the row loop. */
export function projected(
  source: FunctionSource,
  columns: readonly BoundExpression[],
  schema: StructType,
  below: Level,
  evaluate: Evaluate,
): Level {
  const slots = columnSlots(schema)
  const fieldOf = slots.map((slot) => slot)
  const topLevel = slots.filter((slot) => slot.parent === -1)
  const loaded = new Map<number, CodeValue>()
  const load = (slot: number): CodeValue => {
    const known = loaded.get(slot)
    if (known !== undefined) return known
    const target = present(fieldOf[slot], `slot ${slot}`)
    let root = target
    while (root.parent !== -1) root = present(slots[root.parent], 'a parent slot')
    const expression = present(columns[topLevel.indexOf(root)], 'a projected column')
    let value: CodeValue
    if (root.type.kind === 'struct' && expression.kind === 'input') {
      // A struct that passes through: its slots lie one behind the other on both sides.
      value = below.load(expression.slot + (target.index - root.index))
    } else if (target.parent !== -1) {
      const parent = present(slots[target.parent], 'a parent slot')
      value = structField(source, load(parent.index), parent.children.indexOf(slot), target.type)
    } else {
      value = evaluate(expression, below)
    }
    loaded.set(slot, value)
    return value
  }
  return { schema, load }
}
