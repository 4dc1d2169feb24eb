import { present } from '../common/assert.js'
import { ENGINE_SLOT, type HOST_SLOT } from '../common/doorbell.js'
import type { ScanPartition } from '../connector/inputs.js'
import { type ChannelDescriptor, createChannel } from '../exchange/channel.js'
import type { PhysicalPlan } from '../plan/physical-plan.js'
import type { BlockDescriptor, Deployment, TaskSpec } from '../worker/protocol.js'
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
  readonly partitions: readonly ScanPartition[]
  /** Where result rows go; undefined = they are discarded. */
  readonly sinkSlot: typeof HOST_SLOT | typeof ENGINE_SLOT | undefined
  readonly logged: boolean
  readonly restore: (
    stage: number,
  ) => { readonly blocks: readonly BlockDescriptor[]; readonly closedUntil: number } | undefined
}

/**
 * Task t of a stage runs on worker t; the scan has no more tasks than input partitions. Every pair of tasks of neighbouring
 * stages has a channel of its own.
 */
export function layOut(options: LayoutOptions): Layout {
  const { plan, workerSlots, partitions, sinkSlot } = options
  const counts = plan.stages.map((stage, s) => {
    if (stage.parallelism === 'single') return 1
    return s === 0 ? Math.max(1, Math.min(workerSlots.length, partitions.length)) : workerSlots.length
  })
  const slotOf = (task: number): number => workerSlots[task % workerSlots.length] as number
  const between = plan.stages
    .slice(1)
    .map((_, s) =>
      Array.from({ length: counts[s] as number }, (_from, from) =>
        Array.from({ length: counts[s + 1] as number }, (_to, to) => createChannel(slotOf(from), slotOf(to))),
      ),
    )
  const last = plan.stages.length - 1
  const sinkChannels =
    sinkSlot === undefined
      ? []
      : Array.from({ length: counts[last] as number }, (_, task) => createChannel(slotOf(task), sinkSlot))
  const stateChannels: { stage: number; channel: ChannelDescriptor }[] = []
  const tasks = new Map<number, TaskSpec[]>(workerSlots.map((slot) => [slot, []]))
  plan.stages.forEach((stage, s) => {
    const count = counts[s] as number
    for (let task = 0; task < count; task++) {
      const outputs = s < last ? (between[s]?.[task] ?? []) : sinkChannels.slice(task, task + 1)
      const inputs = s === 0 ? undefined : (between[s - 1] ?? []).map((row) => row[task] as ChannelDescriptor)
      const restore = stage.head?.op === 'finalAggregate' ? options.restore(s) : undefined
      let stateLog: ChannelDescriptor | undefined
      if (options.logged && stage.head?.op === 'finalAggregate') {
        stateLog = createChannel(slotOf(task), ENGINE_SLOT)
        stateChannels.push({ stage: s, channel: stateLog })
      }
      tasks.get(slotOf(task))?.push({
        stage: s,
        task,
        tasks: count,
        ...(s === 0 ? { scan: partitions.filter((_, i) => i % count === task) } : {}),
        ...(inputs === undefined ? {} : { inputs }),
        outputs,
        ...(stateLog === undefined ? {} : { stateLog }),
        ...(restore === undefined ? {} : { restore }),
      })
    }
  })
  // A worker without a task is not waited for: it may still be starting.
  for (const [slot, own] of tasks) if (own.length === 0) tasks.delete(slot)
  return { tasks, sinkChannels, stateChannels }
}

/** What a worker is told to run; the first barrier to come is that of `firstEpoch`. */
export function deploymentOf(
  { id, plan, mode, options }: QueryStart,
  tasks: readonly TaskSpec[],
  firstEpoch: number,
): Deployment {
  const idle = options.idleTimeoutMs === undefined ? IDLE_AFTER_MS : Number(options.idleTimeoutMs)
  return {
    query: id,
    plan,
    tasks,
    firstEpoch,
    emitEagerly: mode.kind === 'continuous',
    idleAfterMs: mode.kind === 'batch' ? Number.POSITIVE_INFINITY : idle,
  }
}

/** The task that scans input partition `index`, and its worker. `tasks`: the worker of each, by `stage/task`. */
export function scanOf(tasks: ReadonlyMap<string, number>, index: number): { task: number; slot: number } {
  let count = 0
  while (tasks.has(`0/${count}`)) count += 1
  const task = index % count
  return { task, slot: present(tasks.get(`0/${task}`), `scanning task ${task}`) }
}
