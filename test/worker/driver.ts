import type { AnyColumn } from '../../src/api/column.js'
import { Doorbells } from '../../src/common/doorbell.js'
import { type Env, nodeEnv } from '../../src/common/env.js'
import { MemoryInput } from '../../src/connector/memory-input.js'
import { physicalSlotsOf } from '../../src/connector/physical-slots.js'
import {
  type ChannelDescriptor,
  ChannelReader,
  ChannelWriter,
  createChannel,
  FrameType,
} from '../../src/exchange/channel.js'
import { aggregateStateSchema } from '../../src/operator/aggregate.js'
import type { LogicalPlan } from '../../src/plan/logical-plan.js'
import {
  type FinalAggregate,
  type PhysicalPlan,
  type ScanInput,
  type Stage,
  scanStages,
} from '../../src/plan/physical-plan.js'
import { planQuery } from '../../src/plan/planner.js'
import type { BlockRef } from '../../src/types/block.js'
import { BlockBuilder } from '../../src/types/block-builder.js'
import { readValues } from '../../src/types/block-reader.js'
import type { StructType } from '../../src/types/data-type.js'
import { AggregateTask } from '../../src/worker/aggregate-task.js'
import { OrderTask } from '../../src/worker/order-task.js'
import { OutputPort } from '../../src/worker/output-port.js'
import { NO_WATERMARK, type PartitionPosition } from '../../src/worker/protocol.js'
import { type Goal, ScanTask } from '../../src/worker/scan-task.js'
import { StagePipeline } from '../../src/worker/stage-pipeline.js'
import type { Task } from '../../src/worker/task.js'
import { planOptions } from '../plan/plans.js'

/** The tasks of a query in this one thread, over channels as they are, under a clock that stands still unless it is told to go on. */

export const aggregate = (
  input: LogicalPlan,
  keys: readonly AnyColumn[],
  aggregates: readonly AnyColumn[],
): LogicalPlan => ({
  op: 'aggregate',
  input,
  keys: keys.map((k) => k.expression),
  aggregates: aggregates.map((a) => a.expression),
})

export const stream = (plan: LogicalPlan, outputMode: 'append' | 'update' | 'complete'): PhysicalPlan =>
  planQuery(plan, planOptions({ streaming: true, mode: 'microBatch', outputMode })).physical

export const batch = (plan: LogicalPlan): PhysicalPlan => planQuery(plan, planOptions()).physical

export class GrowingInput extends MemoryInput {
  readonly #blocks: BlockRef[]

  constructor(
    private readonly schema: StructType,
    blocks: BlockRef[] = [],
  ) {
    super(blocks, 0)
    this.#blocks = blocks
  }

  readonly appended: (readonly unknown[])[] = []

  get end(): number {
    return this.appended.length
  }

  append(rows: readonly (readonly unknown[])[]): void {
    if (rows.length === 0) return
    const builder = new BlockBuilder(this.schema)
    for (const row of rows) builder.append(row)
    this.#blocks.push(builder.toBlock())
    this.appended.push(...rows)
  }

  override hasNew(): boolean {
    return this.offset < this.end
  }
}

export interface Barrier {
  readonly stage: number
  readonly task: number
  readonly epoch: number
  readonly positions: readonly PartitionPosition[]
  readonly closedUntil: number
}

export interface DriverOptions {
  readonly plan: PhysicalPlan
  readonly partitions: number
  /** Tasks of a parallel stage. */
  readonly tasks: number
  readonly ringBytes?: number
  readonly idleAfterMs?: number
  readonly emitEagerly?: boolean
  readonly logged?: boolean
  /** By partition, where a query goes on. */
  readonly maxEventTimes?: readonly number[]
}

export class Driver {
  clock = 0
  readonly env: Env = { ...nodeEnv, monotonic: () => this.clock }
  readonly bells = new Doorbells()
  readonly inputs: GrowingInput[]
  readonly scans: ScanTask[] = []
  readonly heads: (AggregateTask | OrderTask)[] = []
  readonly barriers: Barrier[] = []
  /** What the sink got: rows by epoch, and the epochs whose barrier came from every last task. */
  readonly rows: { readonly epoch: number; readonly row: readonly unknown[] }[] = []
  readonly sinkEpochs: number[] = []
  readonly stateBlocks: BlockRef[] = []
  readonly #plan: PhysicalPlan
  readonly #sink: ChannelReader[]
  readonly #stateLogs: { readonly reader: ChannelReader; readonly schema: StructType }[] = []
  #sinkBarriers = 0

  constructor(options: DriverOptions) {
    const { plan, partitions, tasks, ringBytes = 1 << 16 } = options
    this.#plan = plan
    const [first] = scanStages(plan)
    const scan = first?.input as ScanInput
    this.inputs = Array.from({ length: partitions }, () => new GrowingInput(scan.source.schema))
    const counts = plan.stages.map((stage, s) =>
      stage.parallelism === 'single' ? 1 : plan.stages[s]?.input.kind === 'scan' ? Math.min(tasks, partitions) : tasks,
    )
    const wires = (from: number, to: number): ChannelDescriptor[][] =>
      Array.from({ length: from }, () => Array.from({ length: to }, () => createChannel(2, 3, ringBytes)))
    const sink: ChannelDescriptor[] = []
    const outputs = plan.stages.map((_, s): ChannelDescriptor[][] => {
      const to = plan.stages.find(({ input }) => input.kind === 'exchange' && input.from.includes(s))
      const after = wires(counts[s] as number, to === undefined ? 1 : (counts[to.id] as number))
      if (to === undefined) sink.push(...after.flat())
      return after
    })
    plan.stages.forEach((stage, s) => {
      const count = counts[s] as number
      const before = stage.input.kind === 'scan' ? [] : stage.input.from
      for (let task = 0; task < count; task++) {
        const port = (schema: StructType, channel: ChannelDescriptor): OutputPort =>
          new OutputPort(schema, new ChannelWriter(channel, this.bells), 0)
        const out = (outputs[s]?.[task] ?? []).map((channel) => port(StagePipeline.outputSchema(stage), channel))
        const inputs = before.flatMap((from) => {
          const { input } = plan.stages[from] as Stage
          const watermark = input.kind === 'scan' ? (input.watermark?.node ?? NO_WATERMARK) : NO_WATERMARK
          return (outputs[from] ?? []).map((row) => ({
            reader: new ChannelReader(row[task] as ChannelDescriptor, this.bells),
            watermark,
          }))
        })
        const told =
          (positions: (at: number | readonly PartitionPosition[]) => Pick<Barrier, 'positions' | 'closedUntil'>) =>
          (epoch: number, at: number | readonly PartitionPosition[] = []): void =>
            void this.barriers.push({ stage: s, task, epoch, ...positions(at) })
        if (stage.input.kind === 'scan') {
          const own = this.inputs
            .map((input, index) => {
              return { index, input, maxEventTime: options.maxEventTimes?.[index] ?? Number.NEGATIVE_INFINITY }
            })
            .filter(({ index }) => index % count === task)
          this.scans.push(
            new ScanTask(
              stage,
              plan.ansi,
              own,
              physicalSlotsOf(scan),
              out,
              this.env,
              options.idleAfterMs ?? Number.POSITIVE_INFINITY,
              told((at) => ({ positions: at as readonly PartitionPosition[], closedUntil: 0 })),
              () => undefined,
            ),
          )
        } else if (stage.head?.op === 'finalAggregate') {
          const schema = aggregateStateSchema((stage.head as FinalAggregate).grouping)
          let stateLog: OutputPort | undefined
          if (options.logged === true) {
            const channel = createChannel(2, 1, ringBytes)
            stateLog = port(schema, channel)
            this.#stateLogs.push({ reader: new ChannelReader(channel, this.bells), schema })
          }
          this.heads.push(
            new AggregateTask({
              stage,
              ansi: plan.ansi,
              task,
              tasks: count,
              inputs,
              watermarkPolicy: 'min',
              outputs: out,
              stateLog,
              emitEagerly: options.emitEagerly ?? false,
              onBarrier: told((at) => ({ positions: [], closedUntil: at as number })),
            }),
          )
        } else {
          this.heads.push(
            new OrderTask(
              stage,
              plan.ansi,
              inputs,
              out,
              told(() => ({ positions: [], closedUntil: 0 })),
            ),
          )
        }
      }
    })
    this.#sink = sink.map((channel) => new ChannelReader(channel, this.bells))
  }

  get tasks(): readonly Task[] {
    return [...this.scans, ...this.heads]
  }

  goal(goal: Partial<Goal>): void {
    const whole: Goal = { ends: null, barrier: -1, final: false, snapshot: false, open: false, ...goal }
    for (const scan of this.scans) scan.setGoal(whole)
  }

  ends(): number[] {
    return this.inputs.map((input) => input.end)
  }

  /** At most `frames` of one task's channel to the sink. */
  readSink(task: number, frames: number): boolean {
    const reader = this.#sink[task % this.#sink.length] as ChannelReader
    let read = 0
    for (; read < frames && reader.next(); read++) {
      if (reader.type === FrameType.data) {
        for (const row of readValues(this.#plan.schema, reader)) this.rows.push({ epoch: reader.epoch, row })
      } else if (reader.type === FrameType.barrier) {
        this.#sinkBarriers += 1
        if (this.#sinkBarriers === this.#sink.length) {
          this.#sinkBarriers = 0
          this.sinkEpochs.push(reader.epoch)
        }
      }
      reader.release()
    }
    return read > 0
  }

  readStateLogs(): boolean {
    let read = false
    for (const { reader, schema } of this.#stateLogs) {
      while (reader.next()) {
        read = true
        if (reader.type === FrameType.data) {
          const builder = new BlockBuilder(schema)
          for (const row of readValues(schema, reader)) builder.append(row)
          this.stateBlocks.push(builder.toBlock())
        }
        reader.release()
      }
    }
    return read
  }

  /** Everything in turn until nothing moves. */
  settle(): void {
    for (let turn = 0; turn < 100_000; turn++) {
      let moved = false
      for (const task of this.tasks) if (task.step()) moved = true
      this.#sink.forEach((_, i) => {
        if (this.readSink(i, 1000)) moved = true
      })
      if (this.readStateLogs()) moved = true
      if (!moved) return
    }
    throw new Error('the tasks never come to rest')
  }

  /** One epoch up to `ends`, or to all there is. */
  epoch(epoch: number, goal: Partial<Goal> = {}): void {
    this.goal({ ends: this.ends(), barrier: epoch, ...goal })
    this.settle()
  }

  lateRows(): number {
    return this.tasks.reduce((sum, task) => sum + (task as ScanTask).counters.lateRows, 0)
  }
}
