import { Millrace } from 'millrace'

/**
 * A directory with the internal topics of groups: `__consumer_offsets`, and `__share_group_state` with snapshots, updates and settings. Written once for each
 * version of their records, and opened by every later one; Kafka's own tools read it in test/outside/.
 */
const JOBS = 60
const TIMESTAMP = 1_750_000_000_000

export const shareGroup = 'workers'
export const settings = {
  'share.auto.offset.reset': 'earliest',
  'share.delivery.count.limit': 3,
  'errors.deadletterqueue.topic.name': 'dlq.jobs',
}

/** Of every six jobs, as they come: what becomes of them. */
const fates = ['accept', 'release', 'accept', 'none', 'reject', 'accept'] as const
const fateOf = (job: number): (typeof fates)[number] =>
  job < JOBS - fates.length ? (fates[job % fates.length] ?? 'none') : 'none'
const jobs = Array.from({ length: JOBS }, (_, job) => job)
const lastAccepted = [JOBS - 6, JOBS - 1]
const released = jobs.filter((job) => fateOf(job) === 'release').length

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const jobOf = (message: { readonly value: unknown }): number => Number(String(message.value).slice('job '.length))

export async function writeGroupsDirectory(dir: string): Promise<void> {
  const mill = await Millrace.open({ dir, workers: 1 })
  await mill.topics.create('jobs', { partitions: 2, config: { 'retention.ms': -1 } })
  await mill.topics.create('dlq.jobs', {
    config: { 'retention.ms': -1, 'errors.deadletterqueue.group.enable': 'true' },
  })
  const value = (job: number) => ({ value: `job ${job}`, partition: job % 2, timestamp: TIMESTAMP + job })
  await mill.producer().send({ topic: 'jobs', messages: jobs.map(value) })
  await mill.groups.alter(shareGroup, settings)
  await mill.groups.alter('with settings alone', { 'share.record.lock.duration.ms': 60_000 })
  await mill.groups.alter('forgotten', { 'share.record.lock.duration.ms': 60_000 })
  await mill.groups.delete('forgotten')
  await shareJobs(mill)
  await commitOffsets(mill)
  await mill.close()
}

/** The first fates go into a snapshot, the last job's into an update of it. */
async function shareJobs(mill: Millrace): Promise<void> {
  const worker = mill.shareConsumer({ groupId: shareGroup, acknowledgementMode: 'explicit' })
  await worker.subscribe({ topics: ['jobs'] })
  const taken = new Map<number, Parameters<typeof worker.acknowledge>[0]>()
  let deliveries = 0
  await worker.run({
    eachMessage: ({ message }) => {
      deliveries += 1
      taken.set(jobOf(message), message)
    },
  })
  while (deliveries < JOBS) await nextTurn()
  for (const [job, message] of [...taken]) {
    const fate = fateOf(job)
    if (fate !== 'none') worker.acknowledge(message, fate)
  }
  await worker.commit()
  for (const job of lastAccepted) {
    const message = taken.get(job)
    if (message !== undefined) worker.acknowledge(message, 'accept')
  }
  await worker.commit()
  while (deliveries < JOBS + released) await nextTurn()
  // Releases what is in hand.
  await worker.disconnect()
}

async function commitOffsets(mill: Millrace): Promise<void> {
  const reader = mill.consumer({ groupId: 'readers' })
  await reader.subscribe({ topics: ['jobs'], fromBeginning: true })
  await reader.run({ autoCommit: false, eachMessage: async () => undefined })
  await reader.commitOffsets([
    { topic: 'jobs', partition: 0, offset: '7', metadata: 'a note' },
    { topic: 'jobs', partition: 1, offset: '11' },
  ])
  await reader.disconnect()
}

/** Everything that is kept of the groups, by what a copy of the directory does with it. */
export interface GroupFindings {
  readonly config: unknown
  readonly otherConfig: unknown
  readonly groups: readonly string[]
  readonly offsets: unknown
  /** `job` and the number of its delivery. */
  readonly jobs: readonly string[]
  readonly letters: readonly string[]
}

export async function readGroupsDirectory(dir: string): Promise<GroupFindings> {
  const mill = await Millrace.open({ dir, workers: 1 })
  const { config } = await mill.groups.describe(shareGroup)
  const { config: otherConfig } = await mill.groups.describe('with settings alone')
  const groups = (await mill.groups.list()).map(({ groupId, protocolType }) => `${groupId}: ${protocolType}`)
  const { partitions } = await mill.groups.describe('readers')
  const offsets = partitions.map(({ partition, committedOffset, metadata }) => ({ partition, committedOffset, metadata }))
  const worker = mill.shareConsumer({ groupId: shareGroup })
  await worker.subscribe({ topics: ['jobs'] })
  const found: string[] = []
  await worker.run({ eachMessage: ({ message }) => void found.push(`${jobOf(message)}#${message.deliveryCount}`) })
  while ((await mill.groups.describe(shareGroup)).lag > 0) await nextTurn()
  await worker.disconnect()
  const reader = mill.consumer()
  await reader.subscribe({ topics: ['dlq.jobs'], fromBeginning: true })
  const letters: string[] = []
  for await (const { headers } of reader) {
    letters.push(`${String(headers['__dlq.errors.partition'])}:${String(headers['__dlq.errors.offset'])}`)
    if (letters.length === expectedGroupFindings().letters.length) break
  }
  await reader.disconnect()
  await mill.close()
  return { config: ownOf(config), otherConfig: ownOf(otherConfig), groups, offsets, jobs: found.sort(), letters: letters.sort() }
}

/** Later versions may have more settings, with other defaults. */
function ownOf(config: Readonly<Record<string, unknown>> | undefined): Record<string, unknown> {
  const names = [...Object.keys(settings), 'share.record.lock.duration.ms']
  const defaults: Record<string, unknown> = {
    'share.auto.offset.reset': 'latest',
    'share.delivery.count.limit': 5,
    'share.record.lock.duration.ms': 30_000,
    'errors.deadletterqueue.topic.name': '',
  }
  const own = names.filter((name) => config?.[name] !== defaults[name])
  return Object.fromEntries(own.map((name) => [name, config?.[name]]))
}

/** Those that are not done with, and which delivery is their next: each was in hand when the consumer stopped, a released one for the second time. */
export function expectedJobs(): { readonly job: number; readonly deliveryCount: number }[] {
  const left = jobs.filter((job) => !['accept', 'reject'].includes(fateOf(job)) && !lastAccepted.includes(job))
  return left.map((job) => ({ job, deliveryCount: fateOf(job) === 'release' ? 3 : 2 }))
}

/** What must be found, from what was done. */
export function expectedGroupFindings(): GroupFindings {
  const rejected = jobs.filter((job) => fateOf(job) === 'reject')
  return {
    config: settings,
    otherConfig: { 'share.record.lock.duration.ms': 60_000 },
    groups: ['readers: consumer', 'with settings alone: share', 'workers: share'],
    offsets: [
      { partition: 0, committedOffset: 7, metadata: 'a note' },
      { partition: 1, committedOffset: 11, metadata: '' },
    ],
    jobs: expectedJobs().map(({ job, deliveryCount }) => `${job}#${deliveryCount}`).sort(),
    letters: rejected.map((job) => `${job % 2}:${Math.floor(job / 2)}`).sort(),
  }
}
