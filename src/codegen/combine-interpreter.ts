import type { Grouping } from '../plan/physical-plan.js'
import { type GroupTable, HEAD_KEY_HASH } from '../state/group-table.js'
import { GroupInterpreter } from './group-interpreter.js'
import type { CombineFunction, FoldFunction, LookupFunction } from './stage-functions.js'
import type { Value } from './value.js'

/** The functions of combine-compiler.ts, interpreted. */

export function interpretCombine(grouping: Grouping, ansi: boolean): CombineFunction {
  const group = new GroupInterpreter(grouping, false, ansi)
  return (A, list, from, to, T, marks) => {
    for (let i = from; i < to; i++) {
      const ae = list === null ? i : (list[i] as number)
      const e = group.findOrInsert(T, keysOf(group, A, ae), hashAt(A, ae), noWindow)
      group.merge(T, e, group.cells(A, ae))
      T.mark(e, marks)
    }
  }
}

export function interpretLookup(grouping: Grouping, ansi: boolean): LookupFunction {
  const group = new GroupInterpreter(grouping, false, ansi)
  return (A, list, from, to, T, out) => {
    let found = 0
    for (let i = from; i < to; i++) {
      const ae = list === null ? i : (list[i] as number)
      const slot = group.find(T, keysOf(group, A, ae), hashAt(A, ae), noWindow)
      if (slot >= 0) out[found++] = (T.index[slot] as number) - 1
    }
    return found
  }
}

export function interpretFold(grouping: Grouping, ansi: boolean): FoldFunction {
  const group = new GroupInterpreter(grouping, false, ansi)
  return (T, ae, e) => group.merge(T, e, group.cells(T, ae))
}

const noWindow: readonly number[] = []

function keysOf(group: GroupInterpreter, T: GroupTable, entry: number): readonly (Value | null)[] {
  return T.layout.keys.map((_, i) => group.key(T, entry, i))
}

function hashAt(T: GroupTable, entry: number): number {
  return T.heads[entry * T.places.headInts + HEAD_KEY_HASH] as number
}
