import { EventEmitter } from 'node:events'
import { AssignedPartitions, type PartitionFilter } from './assigned-partitions.js'
import { placeOf, type TopicPartition } from './assignor.js'
import { AutoCommit } from './auto-commit.js'
import { checkFilters, checkPlaces } from './consumer-arguments.js'
import { notInGroup, notSubscribed, stopped } from './consumer-errors.js'
import { consumerEvents } from './consumer-events.js'
import { ConsumerLife } from './consumer-life.js'
import { type ConsumerOptions, type ResolvedConsumerOptions, resolveConsumerOptions } from './consumer-options.js'
import { ConsumerRun } from './consumer-run.js'
import type { GroupCoordinator } from './group-coordinator.js'
import { GroupMembership } from './group-membership.js'
import type { OffsetCommit } from './group-offsets.js'
import type { HostLog } from './host-log.js'
import { endableLoop, type IteratedMessage, oneByOne } from './message-loop.js'
import type { PartitionFetcher } from './partition-fetcher.js'
import { PartitionOpener } from './partition-opener.js'
import { type RunOptions, resolveRunOptions } from './run-options.js'
import { checkSeek, type SeekTarget, seekTo, wholeNumber } from './seek-target.js'
import type { StartOffsetRules } from './start-offset.js'
import { type ConsumerSubscription, Subscription } from './subscription.js'
import type { ConsumerGroupMetadata } from './transactional-offsets.js'

export type { IteratedMessage } from './message-loop.js'

/** An offset to commit: the next record to be read, as text or a number. */
export interface TopicPartitionOffset extends TopicPartition {
  readonly offset: string | number
  readonly metadata?: string | null | undefined
}

/**
 * Reads topics on the host's thread, in the shapes of kafkajs. It sleeps on the host's doorbell, never on a timer. What is handed out is
 * a copy. Order holds within a partition; partitions take turns. With a `groupId` it shares the partitions with the other consumers of the
 * group while it runs, and its offsets are kept; without one it reads all of them and keeps its place in memory.
 *
 *   'crash'   a callback of run() has thrown, or the log has; the consumer has stopped
 *   'skip'    a message was given up, as `onError: { then: 'skip' }` says
 *   and those of `consumer.events`
 */
export class Consumer extends EventEmitter {
  readonly events = consumerEvents
  readonly #log: HostLog
  readonly #coordinator: GroupCoordinator | undefined
  readonly #options: ResolvedConsumerOptions
  readonly #partitions: AssignedPartitions
  readonly #subscription: Subscription
  readonly #opener: PartitionOpener
  readonly #life: ConsumerLife
  #membership: GroupMembership | undefined
  #autoCommit: AutoCommit | undefined
  #run: ConsumerRun | undefined
  #endListening: (() => void)[] = []
  /** Rejects when the group goes on without this consumer: a handler that does not end holds up nobody, not even its own consumer. */
  #expulsion: Promise<never> = new Promise(() => undefined)
  #expel: (error: unknown) => void = () => undefined

  constructor(
    log: HostLog,
    readonly options: ConsumerOptions = {},
    coordinator?: GroupCoordinator,
  ) {
    super()
    this.#options = resolveConsumerOptions(options)
    this.#log = log
    this.#coordinator = coordinator
    this.#partitions = new AssignedPartitions(log)
    this.#subscription = new Subscription(log)
    const rules: StartOffsetRules = {
      reset: this.#options.reset,
      subscription: this.#subscription,
      now: () => log.env.now(),
      onReset: (notice) => this.#life.say(consumerEvents.OFFSET_RESET, notice),
    }
    const { isolation, groupId } = this.#options
    this.#life = new ConsumerLife(log, this, groupId)
    this.#opener = new PartitionOpener({ log, isolation, inGroup: groupId !== undefined, rules })
  }

  /** Nothing to connect to; here for code written for kafkajs. */
  async connect(): Promise<void> {
    this.#log.assertOpen()
  }

  /** Where it begins is settled when this resolves: what is sent afterwards will be seen. */
  async subscribe(subscription: ConsumerSubscription): Promise<void> {
    this.#life.assertIdle('subscribe() comes before run()')
    await this.#subscription.add(subscription)
    if (this.#endListening.length === 0) {
      this.#endListening = [
        this.#log.onRing(() => this.#partitions.ring()),
        this.#log.onTopicsChanged(() => this.#openAll()),
      ]
    }
    this.#openAll()
  }

  /**
   * Starts handing out records; in a group it resolves when the first partitions are assigned. `finished` tells of the end.
   */
  async run(options: RunOptions): Promise<void> {
    const run = resolveRunOptions(options, this.#options.autoCommit)
    this.#begin()
    const { signal } = run
    if (signal?.aborted === true) return
    this.#log.runningConsumers.add(this)
    const stop = (): void => void this.stop()
    signal?.addEventListener('abort', stop)
    const consumerRun = new ConsumerRun({
      env: this.#log.env,
      partitions: this.#partitions,
      run,
      handled: (messages) => this.#autoCommit?.handled(messages),
      commitIfDue: () => this.#autoCommit?.ifDue() ?? Promise.resolve(),
      commit: (offsets) => this.commitOffsets(offsets),
      pause: (place, isPaused) => this.#setPaused([{ topic: place.topic, partitions: [place.partition] }], isPaused),
      skipped: (fetcher, message, error) =>
        this.emit('skip', { topic: fetcher.topic, partition: fetcher.partition, message, error }),
    })
    this.#run = consumerRun
    let hasJoined = false
    const joined = this.#join(run.autoCommit).then(() => {
      hasJoined = true
    })
    const running = joined
      .then(() => Promise.race([consumerRun.finished(), this.#expulsion]))
      .finally(() => this.#leave())
    this.#life.run(running, {
      // Who called run() hears of a join that failed, and nobody else needs to.
      isCrash: () => hasJoined,
      ended: () => {
        signal?.removeEventListener('abort', stop)
        this.#run = undefined
        this.#log.runningConsumers.delete(this)
      },
    })
    await joined
  }

  /** Resolves when it has stopped; rejects with what stopped it. */
  finished(): Promise<void> {
    return this.#life.finished()
  }

  /**
   * One message after the other. Leaving the loop, by `break` too, stops the consumer; its place is kept. A message is done with, and may be
   * committed, when the loop asks for the next one.
   */
  [Symbol.asyncIterator](): AsyncGenerator<IteratedMessage, void, undefined> {
    const state = { isOn: false }
    return endableLoop(this.#iterate(state), () => {
      if (!state.isOn) return
      this.#life.isStopping = true
      this.#partitions.ring()
    })
  }

  async *#iterate(state: { isOn: boolean }): AsyncGenerator<IteratedMessage, void, undefined> {
    this.#begin()
    this.#life.isIterating = true
    state.isOn = true
    this.#log.runningConsumers.add(this)
    try {
      await this.#join(this.#options.autoCommit)
      yield* oneByOne({
        env: this.#log.env,
        partitions: this.#partitions,
        isStopping: () => this.#life.isStopping,
        handled: (messages) => this.#autoCommit?.handled(messages),
      })
    } finally {
      state.isOn = false
      await this.#leave()
      this.#life.isIterating = false
      this.#log.runningConsumers.delete(this)
      this.#life.sayStopped()
    }
    this.#life.throwFailure()
  }

  /** Which record of the partition is handed out next. In a group the partition may also be assigned later. */
  seek(to: SeekTarget): void {
    this.#log.assertOpen()
    checkSeek(to)
    const fetcher = this.#partitions.find(to)
    if (fetcher !== undefined) {
      seekTo(fetcher, to)
      this.#partitions.ring()
    } else if (this.#options.groupId !== undefined && this.#membership === undefined) {
      this.#opener.seekLater(to)
    } else this.#partitions.get(to)
  }

  /** To the first record that there still is. Without an argument: of all partitions. */
  seekToBeginning(partitions?: readonly TopicPartition[]): void {
    for (const f of this.#chosen('seekToBeginning', partitions)) f.seek(f.logStartOffset())
    this.#partitions.ring()
  }

  /** To what is sent from now on. Without an argument: of all partitions. */
  seekToEnd(partitions?: readonly TopicPartition[]): void {
    for (const f of this.#chosen('seekToEnd', partitions)) f.seek(f.logEndOffset())
    this.#partitions.ring()
  }

  /** Nothing more of these partitions until `resume`, also where the group gives them to this consumer later, or again. */
  pause(topics: readonly PartitionFilter[]): void {
    checkFilters('pause', topics)
    this.#setPaused(topics, true)
  }

  resume(topics: readonly PartitionFilter[]): void {
    checkFilters('resume', topics)
    this.#setPaused(topics, false)
  }

  paused(): { topic: string; partitions: number[] }[] {
    const byTopic = new Map<string, number[]>()
    for (const { topic, partition, isPaused } of this.#partitions.all) {
      if (isPaused) byTopic.set(topic, [...(byTopic.get(topic) ?? []), partition])
    }
    return [...byTopic].map(([topic, partitions]) => ({ topic, partitions }))
  }

  /** Partitions that it reads now. */
  assignment(): TopicPartition[] {
    const held = this.#partitions.all.filter((fetcher) => !fetcher.isRevoked)
    return held.map(({ topic, partition }) => ({ topic, partition }))
  }

  /** Next offset to be handed out, per partition. */
  positions(): (TopicPartition & { readonly offset: string })[] {
    return this.#partitions.all.map(({ topic, partition, position }) => ({
      topic,
      partition,
      offset: String(position),
    }))
  }

  /** For `tx.sendOffsets`: who this consumer is in its group now. A transaction of who is not, or of another generation, is refused. */
  groupMetadata(): ConsumerGroupMetadata {
    const { memberId, generation } = this.#member()
    return { groupId: this.#options.groupId ?? '', generationId: generation, memberId, groupInstanceId: null }
  }

  /** Commits these offsets; without an argument, how far everything was handed out. Resolves when they are durable as the fsync mode promises. */
  async commitOffsets(offsets?: readonly TopicPartitionOffset[]): Promise<void> {
    const membership = this.#member()
    if (offsets !== undefined) checkPlaces('commitOffsets', offsets, "[{ topic, partition: 0, offset: '42' }]")
    const commits: OffsetCommit[] =
      offsets === undefined
        ? this.#partitions.all.map(({ topic, partition, position }) => ({ topic, partition, offset: position }))
        : offsets.map(({ topic, partition, offset, metadata }) => ({
            topic,
            partition,
            offset: wholeNumber(offset),
            metadata,
          }))
    await membership.commit(commits)
    this.#life.say(consumerEvents.COMMIT_OFFSETS, { groupId: this.#options.groupId, offsets: commits })
  }

  /** Ends run() or the iteration; the callbacks in progress are told by their signal, and waited for. So not to be awaited within one. */
  async stop(): Promise<void> {
    this.#life.isStopping = true
    this.#run?.stop()
    for (const fetcher of this.#partitions.all) fetcher.abort(stopped())
    this.#partitions.ring()
    await this.#life.stopped()
  }

  async disconnect(): Promise<void> {
    await this.stop()
    // A loop that is not asking for more does not end by itself.
    if (this.#life.isIterating) await this.#leave()
    for (const end of this.#endListening.splice(0)) end()
    this.#partitions.remove(this.#partitions.all)
    this.#opener.paused.clear()
  }

  #setPaused(topics: readonly PartitionFilter[], isPaused: boolean): void {
    this.#opener.paused.note(topics, isPaused)
    for (const fetcher of this.#partitions.matching(topics)) {
      if (isPaused) fetcher.pause()
      else fetcher.resume()
    }
    this.#partitions.ring()
  }

  #begin(): void {
    this.#life.assertIdle('run() or a for-await loop has it')
    if (this.#subscription.isEmpty) throw notSubscribed()
    this.#life.begin()
    this.#expulsion = new Promise((_, reject) => {
      this.#expel = reject
    })
    this.#expulsion.catch(() => undefined)
    for (const fetcher of this.#partitions.all) fetcher.renew()
  }

  #member(): GroupMembership {
    this.#log.assertOpen()
    if (this.#membership !== undefined) return this.#membership
    throw notInGroup(this.#options.groupId)
  }

  /** Becomes a member of its group, if it has one. */
  async #join(autoCommit: ResolvedConsumerOptions['autoCommit']): Promise<void> {
    const { groupId, clientId, assignors, rebalanceTimeoutMs } = this.#options
    if (groupId === undefined) return
    const coordinator = this.#coordinator
    if (coordinator === undefined) throw new Error('assertion failed: a consumer with a group has no coordinator')
    const membership = new GroupMembership({
      groupId,
      memberId: `${clientId}-${Buffer.from(this.#log.env.randomBytes(8)).toString('hex')}`,
      clientId,
      assignors,
      rebalanceTimeoutMs,
      coordinator,
      partitions: this.#partitions,
      topics: () => this.#subscription.topics(),
      open: (topic, partition, group) =>
        this.#opener.openAssigned(topic, partition, group, coordinator.offsets.get(groupId, topic, partition)),
      commitsOnRevoke: () => autoCommit.enabled,
      onRebalancing: () => this.#life.say(consumerEvents.REBALANCING, { groupId, memberId: membership.memberId }),
      onAssigned: (generation) =>
        this.#life.say(consumerEvents.GROUP_JOIN, {
          groupId,
          memberId: membership.memberId,
          generationId: generation,
          memberAssignment: membership.assignment(),
        }),
      onExpelled: (error) => this.#expelled(error),
    })
    this.#membership = membership
    this.#autoCommit = new AutoCommit(
      this.#log.env,
      autoCommit,
      () => membership.commitPositions(this.#partitions.all),
      (error) => this.#expelled(error),
    )
    await membership.join()
    this.#opener.assigned()
  }

  /** Out of the group: what was done with is committed, and the partitions are for others. */
  async #leave(): Promise<void> {
    const membership = this.#membership
    await this.#autoCommit?.stop()
    this.#autoCommit = undefined
    if (membership === undefined) return
    const places = this.#partitions.all.map((f) => ({ f, key: placeOf(f), position: f.position }))
    try {
      await membership.leave()
    } finally {
      this.#membership = undefined
      this.#partitions.remove(this.#partitions.all)
      const known = new Map(this.#subscription.topics().map((topic) => [topic.name, topic]))
      for (const { f, key, position } of places) {
        const topic = known.get(f.topic)
        if (topic === undefined) continue
        const committed = this.#coordinator?.offsets.get(this.#options.groupId ?? '', topic, f.partition)
        this.#opener.leftAt(key, position, committed)
      }
    }
  }

  /** Without a group: every partition of every topic that is subscribed to. */
  #openAll(): void {
    if (this.#options.groupId !== undefined) return
    for (const topic of this.#subscription.topics()) {
      for (const { partition } of topic.partitions) {
        if (this.#partitions.find({ topic: topic.name, partition }) !== undefined) continue
        this.#partitions.add(this.#opener.open(topic, partition))
      }
    }
  }

  #chosen(method: string, partitions: readonly TopicPartition[] | undefined): readonly PartitionFetcher[] {
    if (partitions === undefined) return this.#partitions.all
    checkPlaces(method, partitions)
    return partitions.map((place) => this.#partitions.get(place))
  }

  /** The group goes on without it: it stops, and says why. */
  #expelled(error: unknown): void {
    this.#life.fail(error)
    this.#run?.stop()
    this.#partitions.ring()
    this.#expel(error)
  }
}
