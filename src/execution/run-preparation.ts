import type { EpochMemory } from '../checkpoint/epoch-memory.js'
import { ENGINE_SLOT, HOST_SLOT } from '../common/doorbell.js'
import type { Env } from '../common/env.js'
import { lazyModule } from '../common/lazy-module.js'
import type { BlockDescriptor } from '../connector/inputs.js'
import type { LogEngine } from '../log/log-engine.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import type { SourceSpec } from '../plan/logical-plan.js'
import { isFileFormat } from '../plan/logical-plan.js'
import { scanStages, stampOf } from '../plan/physical-plan.js'
import { type Layout, layOut, watermarkPolicy } from './deployment.js'
import type { QueryStart } from './engine-protocol.js'
import type { InputName } from './input-order.js'
import {
  type CheckpointIdentity,
  type EpochEnd,
  knownInputs,
  QueryCheckpoint,
  sharedBlock,
} from './query-checkpoint.js'
import { topicDeleted } from './query-errors.js'
import { QuerySource } from './query-source.js'
import { QuerySources } from './query-sources.js'
import { SparkWatermark } from './spark-watermark.js'
import { startingPoint } from './starting-point.js'

const fileSources = lazyModule(import.meta.url, './file-source.js', () => import('./file-source.js'))

/** Everything that is known of a run before its tasks are deployed. */
export interface PreparedRun {
  readonly source: QuerySources
  readonly checkpoint: QueryCheckpoint
  /** Where the run begins, by input partition. */
  readonly offsets: number[]
  /** The first epoch that it runs. */
  readonly epoch: number
  readonly layout: Layout
  /** When the query was first started. */
  readonly startedAt: number
  /** Where lateness goes by Spark's rule. */
  readonly sparkWatermark: SparkWatermark | undefined
}

interface Surroundings {
  readonly env: Env
  readonly log: LogEngine
}

/** Opens the checkpoint, finds what the sources have and where to go on, and lays the tasks out. Throws where the query must not start. */
export function prepareRun(spec: QueryStart, { env, log }: Surroundings, memory?: EpochMemory): PreparedRun {
  const topics = scanStages(spec.plan).map(({ input }) => topicsOf(input.source, spec, log))
  const checkpoint = QueryCheckpoint.open(env, spec.checkpoint, memory)
  try {
    const { identity } = checkpoint.recovered
    const startedAt = identity?.startedAt ?? env.now()
    const source = sourcesOf(spec, topics, checkpoint.recovered, env, startedAt)
    const starts = identity?.starts ?? source.startingOffsets()
    if (checkpoint.isKept) {
      const where = spec.checkpoint ?? 'in memory'
      checkpoint.claim(identityOf(spec, source, topics.flat(), startedAt, starts), where)
      if (topics.some((own) => own.length > 0)) checkpoint.inputs(source.inputs)
    }
    source.beginFiles((record) => checkpoint.files(record))
    if (spec.checkpoint !== undefined) checkpoint.resolveInDoubt(log.transactions, spec.checkpoint)
    const { epoch, offsets, maxEventTimes } = startingPoint(source, starts, checkpoint.recovered.committed)
    const sparkWatermark = sparkWatermarkOf(spec, source, checkpoint.recovered.committed?.end)
    // By Spark's rule a run looks at its own records alone.
    const greatest = sparkWatermark === undefined ? maxEventTimes : new Map<number, number>()
    const layout = layoutOf(spec, source, offsets, greatest, checkpoint)
    return { source, checkpoint, offsets, epoch, layout, sparkWatermark, startedAt }
  } catch (error) {
    checkpoint.close()
    throw error
  }
}

function topicsOf(source: SourceSpec, spec: QueryStart, log: LogEngine): readonly TopicDescriptor[] {
  return (source.topics ?? []).map((topic) => {
    const found = log.describe(topic.name)
    // The columns of a typed topic were fixed with the plan; another topic of the name may have others.
    if (source.format === 'topic' && found.id !== topic.id) throw topicDeleted(topic.name, spec.name)
    return found
  })
}

function sourcesOf(
  spec: QueryStart,
  topics: readonly (readonly TopicDescriptor[])[],
  { identity, files }: QueryCheckpoint['recovered'],
  env: Env,
  startedAt: number,
): QuerySources {
  const known = knownInputs(identity, topics.flat())
  const all = scanStages(spec.plan).map(({ input }, i) => {
    const blocks = spec.tables[input.source.tableId ?? ''] ?? []
    const found = isFileFormat(input.source.format)
      ? fileSources().fileSourceOf(input.source, i, env, files, spec.workerSlots.length)
      : undefined
    return new QuerySource(input.source, topics[i] ?? [], blocks, env, startedAt, ofSource(known, i), found)
  })
  return new QuerySources(all, known)
}

function ofSource(known: readonly InputName[] | undefined, i: number): readonly InputName[] | undefined {
  return known?.filter(([, , source = 0]) => source === i).map(([topic, partition]): InputName => [topic, partition])
}

function identityOf(
  spec: QueryStart,
  source: QuerySources,
  topics: readonly TopicDescriptor[],
  startedAt: number,
  starts: readonly number[],
): CheckpointIdentity {
  const distinct = new Map(topics.map((topic) => [topic.id, topic]))
  return {
    queryId: spec.id,
    stateSignature: spec.plan.stateSignature,
    source: source.description,
    topics: [...distinct.values()].map(({ name, id, partitions }) => ({ name, id, partitions: partitions.length })),
    startedAt,
    starts,
    // The names of one source's follow from its topics.
    ...(source.all.length > 1 ? { inputs: source.inputs } : {}),
  }
}

function sparkWatermarkOf(
  { plan, options }: QueryStart,
  source: QuerySources,
  committed: EpochEnd | undefined,
): SparkWatermark | undefined {
  if (!scanStages(plan).some((stage) => stampOf(stage)?.rule === 'spark')) return undefined
  return new SparkWatermark(plan, source, watermarkPolicy(options), committed?.watermarks)
}

function layoutOf(
  spec: QueryStart,
  source: QuerySources,
  offsets: readonly number[],
  maxEventTimes: ReadonlyMap<number, number>,
  checkpoint: QueryCheckpoint,
): Layout {
  const { committed, state } = checkpoint.recovered
  const restored = new Map<number, readonly BlockDescriptor[]>()
  for (const { stage, block } of state) restored.set(stage, [...(restored.get(stage) ?? []), sharedBlock(block)])
  const partitions = offsets.map((offset, i) =>
    source.scanPartition(i, offset, maxEventTimes.get(i) ?? Number.NEGATIVE_INFINITY),
  )
  return layOut({
    plan: spec.plan,
    workerSlots: spec.workerSlots,
    partitions: source.all.map((_, i) => source.ofSource(i, partitions)),
    sinkSlot: spec.sink.kind === 'noop' ? undefined : spec.sink.kind === 'rows' ? HOST_SLOT : ENGINE_SLOT,
    logged: checkpoint.isKept,
    restore: (stage) => {
      if (committed === undefined) return undefined
      const closedUntil = committed.end.closedUntil.get(stage) ?? Number.NEGATIVE_INFINITY
      return { blocks: restored.get(stage) ?? [], closedUntil }
    },
  })
}
