import { present } from '../common/assert.js'
import { codeGenerationAllowed, FunctionSource } from '../common/function-source.js'
import { lazyModule } from '../common/lazy-module.js'
import {
  joinStateSchema,
  keyGrouping,
  otherSide,
  STATE_COLUMNS,
  shuffleSchema,
  sideNumber,
  sideRules,
} from '../operator/join.js'
import { inputSlots } from '../plan/bound-expression.js'
import type { BoundExpression } from '../plan/expression.js'
import type { Join, JoinSideName } from '../plan/physical-plan.js'
import { GroupPlaces, HEAD_KEY_HASH } from '../state/group-table.js'
import { ROW_ALIVE, ROW_MATCHED } from '../state/row-store.js'
import { columnSlots, type DataType, type StructType } from '../types/data-type.js'
import { BlockInput, BlockOutput } from './block-access.js'
import { anyNull, placeholderText } from './code-value.js'
import { type CompiledFunction, finish, interpreted } from './compiled-function.js'
import { type CodeValue, compileExpression } from './expression-compiler.js'
import { GroupCode } from './group-code.js'
import { number } from './group-values.js'
import {
  type ColumnsFrom,
  type EmitFunction,
  type EntriesFunction,
  type KeepFunction,
  type LogFunction,
  NO_ROW,
  PAIRS,
  type ProbeFunction,
  STATE_OF_ROW,
} from './join-functions.js'
import { rowsOfStore, StoreInput } from './store-access.js'
import { asBytes } from './text-scratch.js'

/** Where code generation is forbidden. */
const interpreters = lazyModule(import.meta.url, './join-interpreter.js', () => import('./join-interpreter.js'))

/** The loops of a join: rows against the other side, pairs into result rows, rows into the store and out of it. */

type Load = (slot: number) => CodeValue

const slotCount = (schema: StructType): number => columnSlots(schema).length

export function compileProbe(join: Join, side: JoinSideName, ansi: boolean): CompiledFunction<ProbeFunction> {
  if (!codeGenerationAllowed()) return interpreted(interpreters().interpretProbe(join, side, ansi))
  const other = otherSide(side)
  const rules = sideRules(join, side)
  const rulesOfOther = sideRules(join, other)
  const source = new FunctionSource()
  BlockInput.declareViews(source)
  const input = new BlockInput(source, source.section(), shuffleSchema(join[side].schema), undefined)
  const own: Load = (slot) => input.load(slot + 1)
  const group = new GroupCode(source, keyGrouping(join), false, ansi)
  const { numbers } = new GroupPlaces(group.layout)
  group.take(true)
  source.line('let count = 0, kept = 0;')
  source.line('const chain = other.next, segments = other.segments;')
  const push = (row: string, stored: string): void => {
    source.line(`pairs[2 * count] = ${row}; pairs[2 * count + 1] = ${stored};`)
    source.line(`if (++count === ${PAIRS}) { flush(count); count = 0; }`)
  }
  source.block('for (let r = from; r < to; r++)', () => {
    const keys = join[side].keys.map((key) => asBytes(source, evaluate(source, key, own, ansi)))
    const nullKey = anyNull(...keys.map((key) => key.isNull))
    if (nullKey !== 'false' && !rules.preserved) source.line(`if (${nullKey}) continue;`)
    source.line(`const h = ${input.load(0).value};`)
    group.words(keys)
    group.findOrInsert(keys)
    const { condition } = join
    const leftSlots = slotCount(join.left.schema)
    const isOwn = (slot: number): boolean => slot < leftSlots === (side === 'left')
    const ownSlot = (slot: number): number => (slot < leftSlots ? slot : slot - leftSlots)
    // What the condition reads of this row is read once and not for every pair.
    for (const slot of condition === undefined ? [] : inputSlots(condition)) if (isOwn(slot)) own(ownSlot(slot))
    source.line('let hit = 0;')
    const begin = `cells[d + ${numbers[sideNumber(other)]}]`
    const unlessNull = nullKey === 'false' || !rules.preserved ? begin : `${nullKey} ? 0 : ${begin}`
    source.block(`for (let x = ${unlessNull}; x !== 0;)`, () => {
      source.line('const q = x - 1; x = chain[q];')
      if (condition !== undefined) {
        const stored = new StoreInput(source, join[other].schema, 'q', rowsOfStore('segments'), 's')
        for (const slot of inputSlots(condition)) if (!isOwn(slot)) stored.load(ownSlot(slot))
        const holds = compileExpression(
          source,
          condition,
          (slot) => (isOwn(slot) ? own(ownSlot(slot)) : stored.load(ownSlot(slot))),
          { ansi },
        )
        const fails = holds.isNull === 'false' ? `!${holds.value}` : `${holds.isNull} || !${holds.value}`
        source.line(`if (${fails}) continue;`)
      }
      source.line('hit = 1;')
      if (rulesOfOther.endsWithMatch) {
        source.line('other.remove(T, q); other.forget(q);')
        if (!rulesOfOther.preserved) push('r', 'q')
      } else {
        if (rulesOfOther.preserved) source.line('other.match(q);')
        if (rules.pairs) push('r', 'q')
        if (rules.endsWithMatch) source.line('break;')
      }
    })
    if (rules.endsWithMatch) {
      source.block('if (hit === 1)', () => {
        if (!rules.preserved) push('r', String(NO_ROW))
        source.line('continue;')
      })
    }
    source.line('rows[kept] = r; entries[kept++] = (e << 1) | hit;')
  })
  source.line('if (count > 0) flush(count);')
  source.line('return kept;')
  const parameters = ['views', 'pos', 'from', 'to', 'T', 'other', 'pairs', 'flush', 'rows', 'entries']
  return finish(source, 'probe', parameters)
}

export function compileEmit(
  join: Join,
  from: { readonly left: ColumnsFrom; readonly right: ColumnsFrom },
): CompiledFunction<EmitFunction> {
  if (!codeGenerationAllowed()) return interpreted(interpreters().interpretEmit(join, from))
  const source = new FunctionSource()
  const block = from.left === 'block' ? join.left : from.right === 'block' ? join.right : undefined
  const stored = from.left === 'store' ? join.left : from.right === 'store' ? join.right : undefined
  let loadBlock: Load | undefined
  if (block !== undefined) {
    BlockInput.declareViews(source)
    const input = new BlockInput(source, source.section(), shuffleSchema(block.schema), undefined)
    loadBlock = (slot) => input.load(slot + 1)
  }
  const output = new BlockOutput(source, join.schema, 'B')
  output.declare()
  if (stored !== undefined) source.line('const segments = store.segments;')
  source.block('for (let i = 0; i < count; i++)', () => {
    if (block !== undefined) source.line('const r = pairs[2 * i];')
    if (stored !== undefined) source.line('const q = pairs[2 * i + 1];')
    const store =
      stored === undefined ? undefined : new StoreInput(source, stored.schema, 'q', rowsOfStore('segments'), 's')
    const leftSlots = slotCount(join.left.schema)
    for (const slot of output.slots) {
      const isLeft = slot.index < leftSlots
      const where = isLeft ? from.left : from.right
      const at = isLeft ? slot.index : slot.index - leftSlots
      if (where === 'block') output.store(slot.index, present(loadBlock, 'a block')(at))
      else if (where === 'store') output.store(slot.index, present(store, 'a store').load(at))
      else output.store(slot.index, nullOf(source, slot.type))
    }
    output.endRow()
  })
  output.finish()
  return finish(source, 'emit', ['views', 'pos', 'pairs', 'count', 'store', 'B'])
}

/** `restoring`: from blocks of state, else from the frames of the shuffle. */
export function compileKeep(
  join: Join,
  side: JoinSideName,
  restoring: boolean,
  ansi: boolean,
): CompiledFunction<KeepFunction> {
  if (!codeGenerationAllowed()) return interpreted(interpreters().interpretKeep(join, side, restoring, ansi))
  const source = new FunctionSource()
  BlockInput.declareViews(source)
  const load = rowLoad(source, join, side, restoring)
  const output = new BlockOutput(source, join[side].schema, 'B')
  output.declare()
  const { expiresAt } = join[side]
  if (expiresAt.length > 0) source.line('const expiry = store.expiresAt;')
  source.block('for (let i = from; i < to; i++)', () => {
    source.line('const r = rows[i];')
    for (const slot of output.slots) output.store(slot.index, load(slot.index))
    output.endRow()
    if (expiresAt.length > 0) {
      const times = expiresAt.map((e) => {
        const { isNull, value } = evaluate(source, e, load, ansi)
        return isNull === 'false' ? value : `(${isNull} ? -Infinity : ${value})`
      })
      source.line(`expiry[first + i - from] = ${times.length === 1 ? times[0] : `Math.min(${times.join(', ')})`};`)
    }
  })
  output.finish()
  return finish(source, 'keep', ['views', 'pos', 'rows', 'from', 'to', 'B', 'store', 'first'])
}

export function compileEntries(join: Join, side: JoinSideName, ansi: boolean): CompiledFunction<EntriesFunction> {
  if (!codeGenerationAllowed()) return interpreted(interpreters().interpretEntries(join, side, ansi))
  const source = new FunctionSource()
  BlockInput.declareViews(source)
  const input = new BlockInput(source, source.section(), joinStateSchema(join), undefined)
  const load: Load = (slot) => input.load(slot + stateOffset(join, side))
  const group = new GroupCode(source, keyGrouping(join), false, ansi)
  group.take(true)
  source.block('for (let i = 0; i < count; i++)', () => {
    source.line('const r = rows[i];')
    source.line(`const h = ${input.load(0).value};`)
    const keys = join[side].keys.map((key) => asBytes(source, evaluate(source, key, load, ansi)))
    group.words(keys)
    group.findOrInsert(keys)
    source.line('entries[i] = e << 1;')
  })
  return finish(source, 'entries', ['views', 'pos', 'rows', 'count', 'T', 'entries'])
}

export function compileLog(join: Join, side: JoinSideName): CompiledFunction<LogFunction> {
  if (!codeGenerationAllowed()) return interpreted(interpreters().interpretLog(join, side))
  const source = new FunctionSource()
  const { headInts } = new GroupPlaces(new GroupCode(source, keyGrouping(join), false, true).layout)
  const output = new BlockOutput(source, joinStateSchema(join), 'B')
  output.declare()
  source.line('const segments = store.segments, heads = T.heads;')
  source.block('for (let i = from; i < to; i++)', () => {
    source.line('const q = rows[i];')
    output.store(0, number(`heads[store.entry[q] * ${headInts} + ${HEAD_KEY_HASH}]`, 'int'))
    output.store(1, number(String(sideNumber(side)), 'int'))
    output.store(2, number(`(store.states[q] & ${ROW_ALIVE | ROW_MATCHED} | ${STATE_OF_ROW})`, 'int'))
    output.store(3, number('store.ids[q]', 'double'))
    const stored = new StoreInput(source, join[side].schema, 'q', rowsOfStore('segments'), 's')
    const own = stateOffset(join, side)
    const end = own + slotCount(join[side].schema)
    for (const slot of output.slots.slice(STATE_COLUMNS)) {
      const isOwn = slot.index >= own && slot.index < end
      output.store(slot.index, isOwn ? stored.load(slot.index - own) : nullOf(source, slot.type))
    }
    output.endRow()
  })
  output.finish()
  return finish(source, 'log', ['rows', 'from', 'to', 'store', 'T', 'B'])
}

/** Slot of the first column of a side in a state row. */
export function stateOffset(join: Join, side: JoinSideName): number {
  return STATE_COLUMNS + (side === 'left' ? 0 : slotCount(join.left.schema))
}

function rowLoad(source: FunctionSource, join: Join, side: JoinSideName, restoring: boolean): Load {
  const schema = restoring ? joinStateSchema(join) : shuffleSchema(join[side].schema)
  const offset = restoring ? stateOffset(join, side) : 1
  const input = new BlockInput(source, source.section(), schema, undefined)
  return (slot) => input.load(slot + offset)
}

function evaluate(source: FunctionSource, e: BoundExpression, load: Load, ansi: boolean): CodeValue {
  for (const slot of inputSlots(e)) load(slot)
  return compileExpression(source, e, load, { ansi })
}

function nullOf(source: FunctionSource, type: DataType): CodeValue {
  return { type, isNull: 'true', value: placeholderText(source, type) }
}
