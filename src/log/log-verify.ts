import type { Env } from '../common/env.js'
import { toErrorShape } from '../common/errors.js'
import { sealJson } from '../common/sealed-json.js'
import { CLEANER_SLICE_MS } from './limits.js'
import type { LogCleaner } from './log-cleaner.js'
import type { OpenTopics } from './open-topics.js'
import { partitionKey } from './partition-descriptor.js'
import {
  type DamagedOffsets,
  type PartitionFindings,
  PartitionVerifier,
  type TornTail,
  type WholeBatch,
} from './partition-verify.js'
import { RecoveryMarks, type RecoveryPoint } from './recovery-marks.js'
import { SalvagedPartition } from './salvaged-partition.js'
import { parseTopic, type Topic } from './topics.js'
import { WorkSlices } from './work-slices.js'

/** What a walk over all files has found. `ok`: every record that was ever synced can be read. */
export interface VerifyReport {
  readonly ok: boolean
  readonly topics: number
  readonly partitions: number
  readonly segments: number
  readonly batches: number
  readonly records: number
  readonly bytes: number
  readonly damaged: readonly DamagedOffsets[]
  /** Other files that make no sense, such as a topic's description or a checkpoint. */
  readonly damagedFiles: readonly { readonly file: string; readonly reason: string }[]
  readonly torn: readonly TornTail[]
  readonly warnings: readonly string[]
}

/** Adds up what is found, partition by partition. */
export class VerifyTotals {
  readonly damaged: DamagedOffsets[] = []
  readonly damagedFiles: { readonly file: string; readonly reason: string }[] = []
  readonly torn: TornTail[] = []
  readonly warnings: string[] = []
  topics = 0
  partitions = 0
  segments = 0
  batches = 0
  records = 0
  bytes = 0

  add(findings: PartitionFindings): void {
    this.partitions += 1
    this.segments += findings.segments
    this.batches += findings.batches
    this.records += findings.records
    this.bytes += findings.bytes
    this.damaged.push(...findings.damaged)
    this.torn.push(...findings.torn)
    this.warnings.push(...findings.warnings)
  }

  damagedFile(file: string, error: unknown): void {
    const { message, detail } = toErrorShape(error)
    this.damagedFiles.push({ file, reason: detail === undefined ? message : `${message}; ${detail}` })
  }

  report(): VerifyReport {
    const { topics, partitions, segments, batches, records, bytes, damaged, damagedFiles, torn, warnings } = this
    const ok = damaged.length === 0 && damagedFiles.length === 0
    return { ok, topics, partitions, segments, batches, records, bytes, damaged, damagedFiles, torn, warnings }
  }
}

/**
 * Walks the topics of a directory that no engine has open. With `salvage` what is whole is copied to another directory on the
 * way, which opens as a log of its own.
 */
export async function verifyTopics(
  env: Env,
  dir: string,
  totals: VerifyTotals,
  salvage: string | undefined,
): Promise<void> {
  const marks = new RecoveryMarks(env, `${dir}/log`)
  const { points: known } = marks.readPoints()
  for (const fault of marks.faults) totals.damagedFile(marks.pointsPath, fault)
  const topics = readTopics(env, dir, totals)
  const points: Record<string, RecoveryPoint> = {}
  for (const topic of topics) {
    totals.topics += 1
    const damagedBefore = totals.damaged.length
    for (let partition = 0; partition < topic.partitions; partition++) {
      const key = partitionKey({ topic: topic.name, partition, topicId: topic.id })
      const point = known.get(key)
      const name = `${topic.name}-${partition}`
      const copy =
        salvage === undefined
          ? undefined
          : new SalvagedPartition(env, `${salvage}/log/${name}`, topic.schema !== undefined)
      const onBatch: WholeBatch | undefined = copy?.batch.bind(copy)
      const findings = await new PartitionVerifier(
        env,
        {
          topic: topic.name,
          partition,
          directory: `${dir}/log/${name}`,
          schema: topic.schema,
          dense: !topic.hasGaps,
          recoveryPoint: point?.recoveryPoint ?? 0,
        },
        new WorkSlices(env, 50),
        onBatch,
      ).run()
      totals.add(findings)
      copy?.finish(findings.endOffset)
      if (copy === undefined) continue
      // What was copied is synced, and may lack offsets up to its end.
      const { firstOffset } = copy
      points[key] = {
        recoveryPoint: Math.max(findings.endOffset, firstOffset),
        logStartOffset: Math.max(point?.logStartOffset ?? 0, firstOffset),
        ...(point?.leaderEpochs === undefined ? {} : { leaderEpochs: point.leaderEpochs }),
      }
    }
    if (salvage === undefined) continue
    const hasGaps = topic.hasGaps || totals.damaged.length > damagedBefore
    env.fs.makeDirectory(`${salvage}/topics`)
    env.fs.replaceFile(`${salvage}/topics/${topic.name}.json`, sealJson({ ...topic, hasGaps }, 2))
  }
  if (salvage !== undefined) {
    env.fs.makeDirectory(`${salvage}/log`)
    await new RecoveryMarks(env, `${salvage}/log`).writePoints(points)
  }
}

/** The topics on disk of an engine that is open, as far as they are written: a partition at a time and in slices, while nothing is compacted or deleted. */
export async function verifyOpenTopics(
  env: Env,
  open: OpenTopics,
  cleaner: LogCleaner,
  totals: VerifyTotals,
): Promise<void> {
  for (const topic of open.topics.list()) {
    if (topic.storage !== 'disk') continue
    totals.topics += 1
    for (const partition of open.describe(topic.name).partitions) {
      const log = open.log(partition)
      await cleaner.exclusively(async () => {
        const verifier = new PartitionVerifier(
          env,
          {
            topic: topic.name,
            partition: partition.partition,
            directory: partition.directory ?? '',
            schema: topic.schema,
            dense: !log.control.hasGaps(),
            recoveryPoint: log.syncedOffset,
            sizes: new Map(log.segments().map((segment) => [segment.baseOffset, segment.size])),
          },
          new WorkSlices(env, CLEANER_SLICE_MS),
        )
        totals.add(await verifier.run())
      })
    }
  }
}

function readTopics(env: Env, dir: string, totals: VerifyTotals): Topic[] {
  const topics: Topic[] = []
  for (const file of env.fs.list(`${dir}/topics`)) {
    if (!file.endsWith('.json')) continue
    const path = `${dir}/topics/${file}`
    try {
      topics.push(parseTopic(path, env.fs.readFile(path)))
    } catch (error) {
      totals.damagedFile(path, error)
    }
  }
  return topics
}
