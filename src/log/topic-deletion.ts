import { HOST_SLOT } from '../common/doorbell.js'
import type { Env } from '../common/env.js'
import type { LogReclaimer } from './log-reclaimer.js'
import type { OpenTopics } from './open-topics.js'
import { PartitionStatus } from './partition-control.js'
import type { LogMemory } from './shared-memory.js'

export interface TopicDeletionParts {
  readonly env: Env
  readonly dir: string | undefined
  readonly memory: LogMemory
  readonly open: OpenTopics
  readonly reclaimer: LogReclaimer
}

/**
 * The end of a topic, in this order: its description goes, durably; its partitions take nothing more; their files go. Readers that are in it
 * still see what they hold; everybody else is told that it is gone.
 *
 * Where the description is removed and its directory cannot be synced, nobody can say whether it is there again after a loss of power. So it
 * takes nothing more all the same, since that would be lost without it, and its files stay, since they are missed with it; the
 * next opening either finds the whole topic or clears them away.
 */
export async function deleteTopic(name: string, parts: TopicDeletionParts): Promise<void> {
  const { env, dir, memory, open, reclaimer } = parts
  const descriptor = open.describe(name)
  const failure = forget(open, name)
  for (const partition of descriptor.partitions) {
    const log = open.partitions[partition.ordinal]
    if (log === undefined) continue
    open.partitions[partition.ordinal] = undefined
    log.control.setStatus(PartitionStatus.deleted)
    await log.sync().catch(() => undefined)
    log.close(PartitionStatus.deleted)
    reclaimer.retire(log)
    memory.bells.ringAll(log.control.watchers())
    if (failure === undefined && partition.directory !== undefined && env.fs.exists(partition.directory)) {
      env.fs.removeTree(partition.directory)
    }
  }
  if (failure === undefined && descriptor.storage === 'disk') env.fs.syncDirectory(`${dir}/log`)
  memory.bells.ring(HOST_SLOT)
  if (failure !== undefined) throw failure
}

/** What went wrong after the description was removed; throws where it is still there. */
function forget(open: OpenTopics, name: string): unknown {
  try {
    open.forget(name)
    return undefined
  } catch (error) {
    if (open.find(name) !== undefined) throw error
    return error
  }
}
