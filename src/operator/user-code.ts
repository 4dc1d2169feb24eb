import type { NarrowOperator, ScanInput, UserCodeOperator } from '../plan/physical-plan.js'
import { type Field, type StructType, scalar, structType, topLevelSlots } from '../types/data-type.js'

/**
 * A pipeline with user code in it, cut at that code into segments. Each segment is one compiled loop, as a whole pipeline is without; what it makes lies in
 * a block that the user's function is given row by row, or, behind the last, goes where the stage's rows go.
 *
 *   rows of the scan or head → segment → function → segment → function → … → segment → output
 */
export interface Segment {
  /** Of the blocks that it reads. */
  readonly schema: StructType
  readonly operators: readonly NarrowOperator[]
  /** Rows are stamped at its beginning. */
  readonly watermark?: ScanInput['watermark']
  /** Slot of the blocks it reads in which the stamps lie. */
  readonly stampSlot?: number
  /** The function behind it; none behind the last. */
  readonly next?: UserCodeOperator
}

/**
 * What a function's rows lie in: its columns, and behind them, which it does not see, the number that the row had in the block which the segment read, and,
 * where rows are stamped, the stamp.
 */
export function userInputSchema({ input }: UserCodeOperator, isStamped: boolean): StructType {
  const hidden: Field[] = [{ name: '__row', type: scalar('int'), nullable: false }]
  if (isStamped) hidden.push({ name: '__stamp', type: scalar('double'), nullable: false })
  return structType([...input.fields, ...hidden])
}

export function segmentsOf(
  schema: StructType,
  pipeline: readonly NarrowOperator[],
  watermark?: ScanInput['watermark'],
): readonly Segment[] {
  const segments: Segment[] = []
  let reads = schema
  let stamped = watermark
  let stampSlot: number | undefined
  let operators: NarrowOperator[] = []
  const end = (next?: UserCodeOperator): void => {
    segments.push({
      schema: reads,
      operators,
      ...(stamped === undefined ? {} : { watermark: stamped }),
      ...(stampSlot === undefined ? {} : { stampSlot }),
      ...(next === undefined ? {} : { next }),
    })
  }
  for (const operator of pipeline) {
    if (operator.op !== 'userCode') {
      operators.push(operator)
      continue
    }
    end(operator)
    operators = []
    if (operator.code.method === 'filter') {
      // The rows that stay are read where the function's rows lie, with the stamps that they have.
      const isStamped = stamped !== undefined || stampSlot !== undefined
      reads = userInputSchema(operator, isStamped)
      stampSlot = isStamped ? topLevelSlots(reads).at(-1) : undefined
      stamped = undefined
    } else {
      reads = operator.schema
      stampSlot = undefined
      stamped = operator.watermark
    }
  }
  end()
  return segments
}
