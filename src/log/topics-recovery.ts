import type { Env } from '../common/env.js'
import { lazyModule } from '../common/lazy-module.js'
import { keepsGroupState } from './internal-topics.js'
import { currentEpoch, epochOfTime, type LeaderEpoch, withNextEpoch } from './leader-epochs.js'
import type { OpenTopics } from './open-topics.js'
import { partitionKey } from './partition-descriptor.js'
import type { PartitionLog } from './partition-log.js'
import type { DamagedRange, RecoveredPartition } from './recovery.js'
import type { RecoveryMarks, RecoveryPoint } from './recovery-marks.js'
import { rollLimits } from './topic-config.js'

const recovering = lazyModule(import.meta.url, './recovery.js', () => import('./recovery.js'))

/** What opening found amiss, for the logger. */
export interface RecoveryFinding {
  readonly topic: string
  readonly partition: number
  readonly cut: RecoveredPartition['cut']
  readonly damaged: readonly DamagedRange[]
}

/**
 * Opens all partitions on disk, before anybody appends to one. Where an unsynced tail may be gone, and there is a topic in which groups keep offsets
 * that may speak of it, the partition goes into its next epoch; that is on the disk when this returns, since the first append may give one of these offsets anew.
 * After a clean stop, and where everything that was acknowledged was synced, nothing is written.
 */
export function recoverTopics(env: Env, open: OpenTopics, marks: RecoveryMarks): readonly RecoveryFinding[] {
  const findings: RecoveryFinding[] = []
  const cleanEnds = marks.takeCleanEnds()
  const topics = open.topics.list()
  const { points, trust } = marks.readPoints(topics.length === 0)
  const mayBeNamed = topics.some(({ name }) => keepsGroupState(name))
  let haveChanged = false
  for (const topic of topics) {
    const { partitions } = open.open(topic, (partition, directory) => {
      const key = partitionKey({ topic: topic.name, partition, topicId: topic.id })
      const point = points.get(key)
      env.fs.makeDirectory(directory)
      const recovered = recovering().recoverPartition({
        env,
        directory,
        recoveryPoint: point?.recoveryPoint ?? 0,
        logStartOffset: point?.logStartOffset ?? 0,
        dense: !topic.hasGaps,
        indexIntervalBytes: rollLimits(topic.config).indexIntervalBytes,
        cleanEnd: cleanEnds.get(key),
        trust,
        cleanedTo: point?.cleanedTo ?? 0,
        onFault: (fault) => marks.faults.push(fault),
      })
      if (recovered.cut !== undefined || recovered.damaged.length > 0) {
        findings.push({ topic: topic.name, partition, cut: recovered.cut, damaged: recovered.damaged })
      }
      const epochs = epochsOf(point)
      const mayHaveLost = trust === 'lost' || (!recovered.isClean && point?.synced !== true)
      if (!mayBeNamed || !mayHaveLost) return { ...recovered, leaderEpochs: epochs }
      haveChanged = true
      const next = currentEpoch(epochs) + 1
      const epoch = trust === 'lost' ? Math.max(next, epochOfTime(env.now())) : next
      return { ...recovered, leaderEpochs: withNextEpoch(epochs, epoch, recovered) }
    })
    // From now on it may lose something, which the points must not deny.
    haveChanged ||= partitions.some((of) => of.ackWhen === 'written' && points.get(partitionKey(of))?.synced === true)
  }
  if (haveChanged) marks.replacePoints(recoveryPoints(open.partitions))
  return findings
}

/** What is to be known of the partitions when they are opened again. */
export function recoveryPoints(partitions: readonly (PartitionLog | undefined)[]): Record<string, RecoveryPoint> {
  const points: Record<string, RecoveryPoint> = {}
  for (const log of partitions) {
    if (log === undefined || log.descriptor.ackWhen === 'appended') continue
    const { ackWhen, leaderEpochs } = log.descriptor
    points[partitionKey(log.descriptor)] = {
      recoveryPoint: log.syncedOffset,
      logStartOffset: log.control.logStartOffset(),
      ...(log.cleanedTo === 0 ? {} : { cleanedTo: log.cleanedTo }),
      ...(ackWhen === 'synced' ? { synced: true } : {}),
      ...(leaderEpochs.length === 0
        ? {}
        : { leaderEpochs: leaderEpochs.map(({ epoch, startOffset }) => [epoch, startOffset] as const) }),
    }
  }
  return points
}

function epochsOf(point: RecoveryPoint | undefined): readonly LeaderEpoch[] {
  return (point?.leaderEpochs ?? []).map(([epoch, startOffset]) => ({ epoch, startOffset }))
}
