import { present } from '../common/assert.js'
import { ENGINE_SLOT, type HOST_SLOT } from '../common/doorbell.js'
import type { ScanPartition } from '../connector/inputs.js'
import { type ChannelDescriptor, ChannelMemory } from '../exchange/channel.js'
import { hasState, type PhysicalPlan, type Stage, scanStages, stampOf } from '../plan/physical-plan.js'
import {
  type BlockDescriptor,
  type Deployment,
  NO_WATERMARK,
  type TaskInput,
  type TaskSpec,
  type WatermarkPolicy,
} from '../worker/protocol.js'
import type { QueryStart } from './engine-protocol.js'
import { IDLE_AFTER_MS } from './limits.js'

/** Which tasks a query has, on which worker each runs, and the channels between them. */
export interface Layout {
  /** By worker slot. */
  readonly tasks: ReadonlyMap<number, readonly TaskSpec[]>
  /** From the last stage's tasks to the thread of the sink. */
  readonly sinkChannels: readonly ChannelDescriptor[]
  readonly stateChannels: readonly { readonly stage: number; readonly channel: ChannelDescriptor }[]
}

export interface LayoutOptions {
  readonly plan: PhysicalPlan
  readonly workerSlots: readonly number[]
  /** By source, in the order of the source's own list. */
  readonly partitions: readonly (readonly ScanPartition[])[]
  /** Where result rows go; undefined = they are discarded. */
  readonly sinkSlot: typeof HOST_SLOT | typeof ENGINE_SLOT | undefined
  readonly logged: boolean
  readonly restore: (
    stage: number,
  ) => { readonly blocks: readonly BlockDescriptor[]; readonly closedUntil: number } | undefined
}

/**
 * Task t of a stage runs on worker t; a scan has no more tasks than its source has input partitions. Every pair of tasks of stages of which one
 * feeds the other has a channel of its own.
 */
export function layOut(options: LayoutOptions): Layout {
  const { plan, workerSlots, partitions, sinkSlot } = options
  const memory = new ChannelMemory()
  const sourceOf = new Map(scanStages(plan).map((stage, source) => [stage.id, source]))
  const counts = plan.stages.map((stage) => {
    if (stage.parallelism === 'single') return 1
    const source = sourceOf.get(stage.id)
    if (source === undefined) return workerSlots.length
    return Math.max(1, Math.min(workerSlots.length, partitions[source]?.length ?? 0))
  })
  const slotOf = (task: number): number => workerSlots[task % workerSlots.length] as number
  const countOf = (stage: number): number => present(counts[stage], `tasks of stage ${stage}`)
  // By stage and task: the inputs of those that are fed, the outputs of those that feed.
  const inputs = plan.stages.map((stage) => Array.from({ length: countOf(stage.id) }, (): TaskInput[] => []))
  const outputs = plan.stages.map((stage) => Array.from({ length: countOf(stage.id) }, (): ChannelDescriptor[] => []))
  const sinkChannels: ChannelDescriptor[] = []
  for (const stage of plan.stages) {
    const { input } = stage
    for (const [i, from] of (input.kind === 'scan' ? [] : input.from).entries()) {
      const watermark = watermarkOf(plan, present(plan.stages[from], `stage ${from}`))
      const side = (input.kind === 'scan' ? undefined : input.sides?.[i]) ?? 'left'
      outputs[from]?.forEach((out, writer) => {
        inputs[stage.id]?.forEach((into, reader) => {
          const channel = memory.create(slotOf(writer), slotOf(reader))
          out.push(channel)
          into.push({ channel, watermark, side })
        })
      })
    }
    if (stage.output.kind !== 'sink' || sinkSlot === undefined) continue
    outputs[stage.id]?.forEach((out, writer) => {
      const channel = memory.create(slotOf(writer), sinkSlot)
      out.push(channel)
      sinkChannels.push(channel)
    })
  }
  const stateChannels: { stage: number; channel: ChannelDescriptor }[] = []
  const tasks = new Map<number, TaskSpec[]>(workerSlots.map((slot) => [slot, []]))
  for (const { id, head } of plan.stages) {
    const count = countOf(id)
    const source = sourceOf.get(id)
    const isStateful = hasState(head)
    for (let task = 0; task < count; task++) {
      const restore = isStateful ? options.restore(id) : undefined
      let stateLog: ChannelDescriptor | undefined
      if (options.logged && isStateful) {
        stateLog = memory.create(slotOf(task), ENGINE_SLOT)
        stateChannels.push({ stage: id, channel: stateLog })
      }
      tasks.get(slotOf(task))?.push({
        stage: id,
        task,
        tasks: count,
        ...(source === undefined
          ? { inputs: inputs[id]?.[task] ?? [] }
          : { scan: (partitions[source] ?? []).filter((_, i) => i % count === task) }),
        outputs: outputs[id]?.[task] ?? [],
        ...(stateLog === undefined ? {} : { stateLog }),
        ...(restore === undefined ? {} : { restore }),
      })
    }
  }
  // A worker without a task is not waited for: it may still be starting.
  for (const [slot, own] of tasks) if (own.length === 0) tasks.delete(slot)
  return { tasks, sinkChannels, stateChannels }
}

/** Those of stages that hand on what came to them have numbers behind those of the scans. */
const HANDED_ON = 1 << 20

function watermarkOf(plan: PhysicalPlan, stage: Stage): number {
  const { id, input, head } = stage
  if (input.kind === 'scan') return stampOf(stage)?.node ?? NO_WATERMARK
  const isFed = (): boolean =>
    input.from.some((from) => watermarkOf(plan, present(plan.stages[from], `stage ${from}`)) !== NO_WATERMARK)
  const goesOn =
    (head?.op === 'finalAggregate' && head.grouping.closesWindows && head.grouping.outputMode === 'append') ||
    (head?.op === 'join' && head.watermarkLagMs !== undefined) ||
    (head?.op === 'deduplicate' && isFed())
  return goesOn ? HANDED_ON + id : NO_WATERMARK
}

/** What a worker is told to run; the first barrier to come is that of `firstEpoch`. */
/** `id`: by which the workers know the run. */
export function deploymentOf(
  id: string,
  { plan, mode, options, tables, failures }: QueryStart,
  tasks: readonly TaskSpec[],
  firstEpoch: number,
): Deployment {
  const idle = options.idleTimeoutMs === undefined ? IDLE_AFTER_MS : Number(options.idleTimeoutMs)
  return {
    query: id,
    plan,
    tasks,
    tables: Object.fromEntries(plan.broadcasts.map(({ table }) => [table, tables[table] ?? []])),
    firstEpoch,
    emitEagerly: mode.kind === 'continuous',
    idleAfterMs: mode.kind === 'batch' ? Number.POSITIVE_INFINITY : idle,
    watermarkPolicy: watermarkPolicy(options),
    ...(failures === undefined ? {} : { failures: { policy: failures, topic: firstTopic(plan) } }),
  }
}

function firstTopic(plan: PhysicalPlan): string | undefined {
  return scanStages(plan).flatMap(({ input }) => input.source.topics ?? [])[0]?.name
}

export function watermarkPolicy(options: QueryStart['options']): WatermarkPolicy {
  return options.multipleWatermarkPolicy === 'max' ? 'max' : 'min'
}

/** The task of scanning stage `stage` that reads the input partition at place `local` of its source, and its worker. `tasks`: the worker of each, by name. */
export function scanOf(
  tasks: ReadonlyMap<string, number>,
  stage: number,
  local: number,
): { readonly task: number; readonly slot: number } {
  let count = 0
  while (tasks.has(taskName(stage, count))) count += 1
  const task = local % count
  return { task, slot: present(tasks.get(taskName(stage, task)), `scanning task ${taskName(stage, task)}`) }
}

export const taskName = (stage: number, task: number): string => `${stage}/${task}`
