import { present } from '../common/assert.js'
import type { FunctionSource } from '../common/function-source.js'
import type { Explode } from '../plan/physical-plan.js'
import { columnSlots, scalar } from '../types/data-type.js'
import { type CodeValue, materialize, placeholderText, structField } from './code-value.js'
import type { Evaluate, Level } from './row-level.js'

/** Code that goes through the array of the row at hand, in the middle of the loop over the rows. A `continue` of what comes behind goes on with the next element. */
export function eachElement(
  source: FunctionSource,
  { array, schema }: Explode,
  row: Level,
  evaluate: Evaluate,
  behind: (exploded: Level) => void,
): void {
  const { isNull, value } = materialize(source, evaluate(array, row))
  const list = source.fresh('list')
  const i = source.fresh('nth')
  source.line(`const ${list} = ${isNull === 'false' ? value : `${isNull} ? [] : ${value}`};`)
  source.block(`for (let ${i} = 0; ${i} < ${list}.length; ${i}++)`, () => {
    const slots = columnSlots(schema)
    // The row's own slots are the first, then the place in the array, then the element and its parts.
    const place = present(slots.filter((slot) => slot.parent === -1).at(-2), 'the place in the array').index
    const known = new Map<number, CodeValue>()
    const load = (slot: number): CodeValue => {
      if (slot < place) return row.load(slot)
      let loaded = known.get(slot)
      if (loaded === undefined) {
        loaded = loadOwn(slot)
        known.set(slot, loaded)
      }
      return loaded
    }
    const loadOwn = (at: number): CodeValue => {
      if (at === place) return { type: scalar('int'), isNull: 'false', value: `(${i} + 1)` }
      const slot = present(slots[at], `slot ${at}`)
      if (slot.parent !== -1) {
        const children = present(slots[slot.parent], 'a parent slot').children
        return structField(source, load(slot.parent), children.indexOf(at), slot.type)
      }
      const element = source.fresh('element')
      if (!slot.nullable) {
        source.line(`const ${element} = ${list}[${i}];`)
        return { type: slot.type, isNull: 'false', value: element }
      }
      source.line(`let ${element} = ${list}[${i}];`)
      source.line(`const ${element}_null = ${element} === null;`)
      source.line(`if (${element}_null) ${element} = ${placeholderText(source, slot.type)};`)
      return { type: slot.type, isNull: `${element}_null`, value: element }
    }
    behind({ schema, load })
  })
}
