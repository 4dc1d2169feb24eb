import { present } from '../common/assert.js'
import { isFileFormat } from '../plan/logical-plan.js'
import type { ScanInput } from '../plan/physical-plan.js'
import { VALUE_SLOT } from '../record/topic-record.js'
import { columnSlots, topLevelSlots } from '../types/data-type.js'

/** Where the slots of the scan's schema lie in the source's blocks. The `log` source and files make blocks of the scan's schema itself. */
export function physicalSlotsOf(scan: ScanInput): readonly number[] | undefined {
  if (scan.source.format === 'log' || isFileFormat(scan.source.format)) return undefined
  const sourceSlots = topLevelSlots(scan.source.schema)
  const first = scan.source.format === 'topic' ? VALUE_SLOT : 0
  const slots = columnSlots(scan.schema)
  let field = -1
  let root = 0
  return slots.map((slot) => {
    if (slot.parent === -1) {
      field += 1
      root = slot.index
    }
    const source = present(sourceSlots[present(scan.fields[field], 'a scanned field')], 'a source slot')
    return first + source + (slot.index - root)
  })
}
