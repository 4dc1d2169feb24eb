import { codeGenerationAllowed, FunctionSource } from '../common/function-source.js'
import { lazyModule } from '../common/lazy-module.js'
import { FORGOTTEN, forgets, isStamped, seenKeys } from '../operator/deduplicate.js'
import { shuffleSchema } from '../operator/join.js'
import { inputSlots } from '../plan/bound-expression.js'
import type { BoundExpression } from '../plan/expression.js'
import type { Deduplicate } from '../plan/physical-plan.js'
import { BlockInput, BlockOutput } from './block-access.js'
import { type CompiledFunction, finish, interpreted } from './compiled-function.js'
import type { FirstRowsFunction } from './duplicate-functions.js'
import { type CodeValue, compileExpression } from './expression-compiler.js'
import { GroupCode } from './group-code.js'
import { asBytes } from './text-scratch.js'

/** Where code generation is forbidden. */
const interpreters = lazyModule(
  import.meta.url,
  './duplicate-interpreter.js',
  () => import('./duplicate-interpreter.js'),
)

/** The one loop of a deduplication: the row's key in the table of those that were seen, and where it is new, the row to the output. */
export function compileFirstRows(head: Deduplicate, ansi: boolean): CompiledFunction<FirstRowsFunction> {
  if (!codeGenerationAllowed()) return interpreted(interpreters().interpretFirstRows(head, ansi))
  const source = new FunctionSource()
  BlockInput.declareViews(source)
  const stamped = isStamped(head)
  const input = new BlockInput(source, source.section(), shuffleSchema(head.schema, stamped), undefined)
  const columnsFrom = stamped ? 2 : 1
  const load = (slot: number): CodeValue => input.load(slot + columnsFrom)
  const evaluate = (e: BoundExpression): CodeValue => {
    for (const slot of inputSlots(e)) load(slot)
    return compileExpression(source, e, load, { ansi })
  }
  const group = new GroupCode(source, seenKeys(head), false, ansi)
  const output = new BlockOutput(source, head.schema, 'B')
  const expiry = forgets(head) ? `cells[d + ${group.places.numbers[0]}]` : undefined
  group.take(true)
  output.declare()
  source.line('let size = T.size, late = 0, nullEventTime = 0, again = 0;')
  source.block('for (let r = from; r < to; r++)', () => {
    const expires = expiryCode(source, head, evaluate, () => input.load(1).value)
    const keys = head.keys.map((key) => asBytes(source, evaluate(key)))
    source.line(`const h = ${input.load(0).value};`)
    group.words(keys)
    group.findOrInsert(keys)
    if (head.within === undefined) source.line('if (e !== size) continue;')
    else {
      source.block(
        'if (e !== size)',
        () => {
          const counts = stamped ? `${input.load(1).value} < ${expiry}` : `${expiry} !== ${FORGOTTEN}`
          source.line(`if (${counts}) continue;`)
          source.line(`if (${expiry} === ${FORGOTTEN}) revived[again++] = e;`)
        },
        '} else {',
      )
      source.line('size++;')
      source.line('}')
    }
    if (head.within === undefined) source.line('size++;')
    if (expires !== undefined) source.line(`${expiry} = ${expires};`)
    source.line('if ((flags[e] & marks) !== marks) T.mark(e, marks);')
    // Asked for by nobody before: they are loaded here, for the rows that leave.
    for (const slot of output.slots) output.store(slot.index, load(slot.index))
    output.endRow()
  })
  output.finish()
  source.line('counts[0] = late; counts[1] = nullEventTime; counts[2] = again;')
  const parameters = ['views', 'pos', 'from', 'to', 'T', 'B', 'marks', 'lateBefore', 'counts', 'revived']
  return finish(source, 'firstRows', parameters)
}

/** When the row's key is to be forgotten, after the rows that are late have been left out. */
function expiryCode(
  source: FunctionSource,
  { within, expiresAt, lateByKey }: Deduplicate,
  evaluate: (e: BoundExpression) => CodeValue,
  stamp: () => string,
): string | undefined {
  if (within !== undefined) {
    const { isNull, value } = evaluate(within.eventTime)
    if (isNull !== 'false') source.line(`if (${isNull}) { nullEventTime++; continue; }`)
    source.line(`if (${value} < lateBefore) { late++; continue; }`)
    return `${value} + ${within.delayMs}`
  }
  if (expiresAt.length === 0) return undefined
  // A key without the time can come at any time.
  const times = expiresAt.map((e) => {
    const { isNull, value } = evaluate(e)
    return isNull === 'false' ? value : `(${isNull} ? Infinity : ${value})`
  })
  source.line(`const expires = ${times.length === 1 ? times[0] : `Math.min(${times.join(', ')})`};`)
  const isLate = lateByKey === true ? `expires < lateBefore || expires < ${stamp()}` : 'expires < lateBefore'
  source.line(`if (${isLate}) { late++; continue; }`)
  return 'expires'
}
