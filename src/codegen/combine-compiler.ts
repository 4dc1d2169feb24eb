import { codeGenerationAllowed, FunctionSource } from '../common/function-source.js'
import { lazyModule } from '../common/lazy-module.js'
import type { Grouping } from '../plan/physical-plan.js'
import type { CodeValue } from './code-value.js'
import { GroupCode } from './group-code.js'
import { otherLocals, ownLocals } from './key-code.js'
import type { CombineFunction, FoldFunction, LookupFunction } from './stage-functions.js'

/** Where code generation is forbidden. */
const interpreters = lazyModule(import.meta.url, './combine-interpreter.js', () => import('./combine-interpreter.js'))

/** Functions between tables of one grouping: windows are made of slices, and sessions of sessions, without a block in between. */

export function compileCombine(grouping: Grouping, ansi: boolean): CombineFunction {
  if (!codeGenerationAllowed()) return interpreters().interpretCombine(grouping, ansi)
  const source = new FunctionSource()
  const group = new GroupCode(source, grouping, false, ansi)
  group.take(true)
  overEntries(source, group, (keys) => {
    group.findOrInsert(keys)
    const cells = group.layout.cells.map((_, j) => group.cellOf(j, otherLocals))
    group.merge((j) => cells[j] as CodeValue)
    source.line('if ((flags[e] & marks) !== marks) T.mark(e, marks);')
  })
  return source.compile('combine', ['A', 'list', 'from', 'to', 'T', 'marks'])
}

export function compileLookup(grouping: Grouping, ansi: boolean): LookupFunction {
  if (!codeGenerationAllowed()) return interpreters().interpretLookup(grouping, ansi)
  const source = new FunctionSource()
  const group = new GroupCode(source, grouping, false, ansi)
  group.take(true)
  source.line('let found = 0;')
  overEntries(source, group, (keys) => {
    group.find(keys)
    source.line('if (e >= 0) out[found++] = e;')
  })
  source.line('return found;')
  return source.compile('lookup', ['A', 'list', 'from', 'to', 'T', 'out'])
}

export function compileFold(grouping: Grouping, ansi: boolean): FoldFunction {
  if (!codeGenerationAllowed()) return interpreters().interpretFold(grouping, ansi)
  const source = new FunctionSource()
  const group = new GroupCode(source, grouping, false, ansi)
  group.take(true)
  source.line(`const d = e * ${group.cellDoubles}, ad = ae * ${group.cellDoubles};`)
  const locals = { ...ownLocals, entry: otherLocals.entry, cell: otherLocals.cell }
  const cells = group.layout.cells.map((_, j) => group.cellOf(j, locals))
  group.merge((j) => cells[j] as CodeValue)
  return source.compile('fold', ['T', 'ae', 'e'])
}

/** A loop over entries of `A`; `body` gets the keys of the one at hand, its hash is in `h`. */
function overEntries(source: FunctionSource, group: GroupCode, body: (keys: readonly CodeValue[]) => void): void {
  const { headInts, cellDoubles } = group.places
  source.line('const aHeads = A.heads, aCells = A.cells, aArena = A.arena, aArenaView = A.arenaView;')
  group.layout.keys.forEach((part, i) => {
    if (part === 'boxed') source.line(`const ${otherLocals.keyBoxed(i)} = A.keyBoxed[${i}];`)
  })
  group.layout.cells.forEach((cell, j) => {
    if (cell.kind === 'boxed') source.line(`const ${otherLocals.boxed(j)} = A.boxed[${j}];`)
  })
  source.block('for (let i = from; i < to; i++)', () => {
    source.line('const ae = list === null ? i : list[i];')
    source.line(`const aq = ae * ${headInts}, ad = ae * ${cellDoubles};`)
    source.line(`const h = ${group.keyHash(otherLocals)};`)
    const keys = group.layout.keys.map((_, i) => group.keyOf(i, otherLocals))
    group.words(keys)
    body(keys)
  })
}
