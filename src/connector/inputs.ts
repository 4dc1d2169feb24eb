import { present } from '../common/assert.js'
import type { Env } from '../common/env.js'
import { lazyModule } from '../common/lazy-module.js'
import type { PartitionDescriptor } from '../log/partition-descriptor.js'
import { PartitionReader } from '../log/partition-reader.js'
import type { LogMemory } from '../log/shared-memory.js'
import { isFileFormat } from '../plan/logical-plan.js'
import type { ScanInput } from '../plan/physical-plan.js'
import type { BufferViews } from '../types/block.js'
import type { StructType } from '../types/data-type.js'
import type { LaneFile } from './files/lane.js'
import type { InputPartition } from './input-partition.js'
import { isolationOf } from './isolation.js'
import { LogInput } from './log-input.js'
import { MemoryInput } from './memory-input.js'
import type { RatePartition } from './rate-input.js'
import { TopicInput } from './topic-input.js'

const rates = lazyModule(import.meta.url, './rate-input.js', () => import('./rate-input.js'))
const files = lazyModule(import.meta.url, './files/file-input.js', () => import('./files/file-input.js'))

/** A block in shared memory, as messages carry it. */
export interface BlockDescriptor {
  readonly buffer: SharedArrayBuffer
  readonly position: number
}

/** One input partition of a scan, with the offset from which it is read. */
export interface ScanPartition {
  /** Number among all input partitions of the query; the same in every run. */
  readonly index: number
  readonly offset: number
  /** Greatest event time seen before `offset`; -Infinity where there is none. */
  readonly maxEventTime: number
  readonly topic?: { readonly partition: PartitionDescriptor; readonly schema: StructType | undefined }
  readonly blocks?: readonly BlockDescriptor[]
  readonly rate?: RatePartition
  /** Of a lane of files, those that are not read yet. */
  readonly files?: readonly LaneFile[]
}

export interface InputSurroundings {
  readonly memory: LogMemory
  readonly env: Env
  viewsOf(block: BlockDescriptor): BufferViews
  /** Whether anybody will ask at which offset a row was. */
  readonly keepsOffsets?: boolean
  /** An input that had to wait for a promise can go on. */
  wake?(): void
}

/** All of them or none: where one cannot be opened, those before it are closed. */
export function openInputs(
  scan: ScanInput,
  partitions: readonly ScanPartition[],
  around: InputSurroundings,
): InputPartition[] {
  const opened: InputPartition[] = []
  try {
    for (const partition of partitions) opened.push(openInput(scan, partition, around))
  } catch (error) {
    for (const input of opened) input.close()
    throw error
  }
  return opened
}

function openInput(scan: ScanInput, partition: ScanPartition, around: InputSurroundings): InputPartition {
  if (scan.source.format === 'memory') {
    const blocks = (partition.blocks ?? []).map((block) => ({ views: around.viewsOf(block), position: block.position }))
    return new MemoryInput(blocks, partition.offset)
  }
  if (scan.source.format === 'rate') {
    return new (rates().RateInput)(around.env, present(partition.rate, 'the rate'), partition.offset)
  }
  if (isFileFormat(scan.source.format)) {
    return new (files().FileInput)(around.env, scan, partition.files ?? [], partition.offset, around.wake)
  }
  const topic = present(partition.topic, 'the topic of an input partition')
  const reader = new PartitionReader({
    partition: topic.partition,
    memory: around.memory,
    env: around.env,
    schema: topic.schema,
    isolation: isolationOf(scan.source.options),
    skipDeleted: scan.source.options['failOnDataLoss'] === 'false',
  })
  if (scan.source.format === 'topic') return new TopicInput(reader, partition.offset)
  return new LogInput(reader, topic.partition, topic.schema, scan.schema, partition.offset, around.keepsOffsets)
}
