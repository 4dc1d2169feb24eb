import { compileFirstRows } from '../codegen/duplicate-compiler.js'
import { compileKeep, compileProbe } from '../codegen/join-compiler.js'
import { compileToShuffle } from '../codegen/shuffle-compiler.js'
import { compileMerge, compileResult, compileToBuilder, compileToTable } from '../codegen/stage-compiler.js'
import type { PipelineSpec } from '../codegen/stage-functions.js'
import { compileUserInput } from '../codegen/user-input-compiler.js'
import { type Segment, segmentsOf } from '../operator/user-code.js'
import type { Join, PhysicalPlan, Stage } from '../plan/physical-plan.js'

/** The functions that the workers run for a plan, as text; generated-code.ts loads this file. */
export function stageCode(plan: PhysicalPlan, of = ''): string {
  const stages = plan.stages.map(
    (stage) => `-- ${of}stage ${stage.id}\n${stageFunctions(stage, plan.ansi).join('\n\n')}`,
  )
  return [...plan.broadcasts.map((side) => stageCode(side.plan, `${of}${side.table}, `)), ...stages].join('\n\n')
}

function stageFunctions({ input, head, pipeline, output }: Stage, ansi: boolean): string[] {
  const functions: string[] = []
  if (head?.op === 'finalAggregate') {
    functions.push(compileMerge(head.grouping, ansi, false).text, compileResult(head, ansi).text)
  }
  if (head?.op === 'join') functions.push(...joinFunctions(head, ansi))
  if (head?.op === 'deduplicate') functions.push(compileFirstRows(head, ansi).text)
  const specs = segmentsOf(head?.schema ?? input.schema, pipeline, input.kind === 'scan' ? input.watermark : undefined)
  let spec: PipelineSpec = { ...(specs[0] as Segment), ansi }
  for (const segment of specs) {
    spec = { ...segment, ansi }
    if (segment.next !== undefined) functions.push(compileUserInput(spec, segment.next).text)
  }
  if (output.kind === 'partialAggregate') functions.push(compileToTable(spec, output.grouping).text)
  else if (output.kind === 'shuffle') functions.push(compileToShuffle(spec, output).text)
  else if (input.kind === 'scan' || pipeline.length > 0) functions.push(compileToBuilder(spec, output.schema).text)
  return functions
}

function joinFunctions(join: Join, ansi: boolean): string[] {
  return (['left', 'right'] as const).flatMap((side) => [
    compileProbe(join, side, ansi).text,
    compileKeep(join, side, false, ansi).text,
  ])
}
