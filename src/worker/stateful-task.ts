import type { PipelineSpec } from '../codegen/stage-functions.js'
import { lazyModule } from '../common/lazy-module.js'
import { aggregateStateSchema } from '../operator/aggregate.js'
import { seenKeys } from '../operator/deduplicate.js'
import { joinStateSchema } from '../operator/join.js'
import { transformStateSchema } from '../operator/transform-with-state.js'
import type { JoinSideName, Stage } from '../plan/physical-plan.js'
import type { BlockRef } from '../types/block.js'
import type { StructType } from '../types/data-type.js'
import type { WatermarkedInput } from './barrier-inputs.js'
import type { OutputPort } from './output-port.js'
import type { WatermarkPolicy } from './protocol.js'
import type { Counters, Task } from './task.js'
import type { Processors } from './user-functions.js'
import type { UserSurroundings } from './user-pipeline.js'

/** By the first task of its kind: each kind of operator is some ten modules. */
const aggregating = lazyModule(import.meta.url, './aggregate-task.js', () => import('./aggregate-task.js'))
const joining = lazyModule(import.meta.url, './join-task.js', () => import('./join-task.js'))
const deduplicating = lazyModule(import.meta.url, './deduplicate-task.js', () => import('./deduplicate-task.js'))
const transforming = lazyModule(import.meta.url, './transform-task.js', () => import('./transform-task.js'))

export interface StatefulTask extends Task {
  readonly counters: Counters
}

/** What all of them are made of. */
export interface StatefulTaskOptions {
  readonly stage: Stage
  readonly ansi: boolean
  readonly task: number
  readonly tasks: number
  readonly inputs: readonly (WatermarkedInput & { readonly side: JoinSideName })[]
  readonly watermarkPolicy: WatermarkPolicy
  readonly outputs: readonly OutputPort[]
  readonly tables: NonNullable<PipelineSpec['tables']>
  readonly user: UserSurroundings
  readonly processors: Processors
  /** Undefined where nothing is written down. */
  readonly stateLog: (schema: StructType) => OutputPort | undefined
  readonly emitEagerly: boolean
  /** What the last run has left; undefined where nothing has been committed. */
  readonly restore: { readonly blocks: readonly BlockRef[]; readonly closedUntil: number } | undefined
  /** Rows of a broadcast. */
  readonly tableOf: (name: string) => readonly BlockRef[]
  readonly onBarrier: (epoch: number, closedUntil: number) => void
}

/** A task of an operator that keeps something from one epoch to the next, with what it kept before. */
export function statefulTask(options: StatefulTaskOptions): StatefulTask {
  const { stage, restore } = options
  const { head } = stage
  switch (head?.op) {
    case 'finalAggregate': {
      const stateLog = options.stateLog(aggregateStateSchema(head.grouping))
      const task = new (aggregating().AggregateTask)({ ...options, stateLog })
      if (restore !== undefined) task.restore(restore.blocks, restore.closedUntil)
      return task
    }
    case 'join': {
      const task = new (joining().JoinTask)({ ...options, stateLog: options.stateLog(joinStateSchema(head)) })
      if (restore !== undefined) task.restore(restore.blocks, restore.closedUntil)
      return task
    }
    case 'deduplicate': {
      const stateLog = options.stateLog(aggregateStateSchema(seenKeys(head)))
      const task = new (deduplicating().DeduplicateTask)({ ...options, stateLog })
      if (restore !== undefined) task.restore(restore.blocks, restore.closedUntil)
      return task
    }
    case 'transformWithState': {
      const processor = options.processors(head)()
      const stateLog = options.stateLog(transformStateSchema)
      const task = new (transforming().TransformTask)({ ...options, processor, stateLog })
      if (restore !== undefined) task.restore(restore.blocks, restore.closedUntil)
      else if (head.initial !== undefined) task.begin(options.tableOf(head.initial.table))
      return task
    }
    default:
      throw new Error(`assertion failed: stage ${stage.id} keeps nothing`)
  }
}
