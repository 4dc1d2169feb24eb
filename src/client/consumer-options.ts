import { MillraceError } from '../common/errors.js'
import type { IsolationLevel } from '../log/partition-reader.js'
import { describe } from '../types/invalid-value.js'
import type { PartitionAssignor } from './assignor.js'
import { resolveAssignors } from './assignors.js'
import { byOurNames, checkClientOptions } from './client-options.js'
import { checkGroupId } from './group-offsets.js'
import type { AssignorName } from './kafkajs-names.js'
import { AUTO_COMMIT_INTERVAL_MS, REBALANCE_TIMEOUT_MS } from './limits.js'
import { type AutoOffsetReset, type OffsetReset, parseOffsetReset } from './offset-reset.js'

export interface ConsumerOptions {
  /** Consumers of one group share the partitions, and their offsets are kept. Without it a consumer reads all of them, and nothing is kept. */
  readonly groupId?: string | undefined
  /** A name for people, in `mill.groups.describe`. */
  readonly clientId?: string | undefined
  /** Assignors that it supports, the preferred one first. Default: cooperative-sticky. */
  readonly partitionAssigners?: readonly (AssignorName | PartitionAssignor)[] | undefined
  /**
   * Where to begin without a committed offset, and where the offset is not in the log any more. Default: as `fromBeginning` of `subscribe` says,
   * and an offset that is not there any more is an error.
   */
  readonly autoOffsetReset?: AutoOffsetReset | undefined
  /** Default read_uncommitted, as in Kafka: records of open transactions are handed out as soon as they are appended, those of aborted ones too. */
  readonly isolationLevel?: IsolationLevel | undefined
  /** The same in the words of kafkajs. */
  readonly readUncommitted?: boolean | undefined
  /** How long handlers of a partition that moves are waited for, in milliseconds. Default 60 000. */
  readonly rebalanceTimeout?: number | undefined
  /** Offsets of what was handled are committed by themselves. Default true. `run` may say otherwise. */
  readonly autoCommit?: boolean | undefined
  /** Milliseconds between such commits. Default 5000. */
  readonly autoCommitInterval?: number | null | undefined
  /** Commit after so many messages, too. */
  readonly autoCommitThreshold?: number | null | undefined
  // The same by Kafka's names.
  readonly 'group.id'?: string | undefined
  readonly 'client.id'?: string | undefined
  /** A list, or one text with commas. */
  readonly 'partition.assignment.strategy'?: ConsumerOptions['partitionAssigners'] | string
  readonly 'auto.offset.reset'?: AutoOffsetReset | undefined
  readonly 'isolation.level'?: IsolationLevel | undefined
  readonly 'enable.auto.commit'?: boolean | undefined
  readonly 'auto.commit.interval.ms'?: number | undefined
}

export interface AutoCommitOptions {
  readonly enabled: boolean
  readonly intervalMs: number
  /** Messages; Infinity: not by their number. */
  readonly threshold: number
}

export interface ResolvedConsumerOptions {
  readonly groupId: string | undefined
  readonly clientId: string
  readonly assignors: readonly PartitionAssignor[]
  readonly reset: OffsetReset | undefined
  readonly isolation: IsolationLevel
  readonly rebalanceTimeoutMs: number
  readonly autoCommit: AutoCommitOptions
}

/** Kafka's name after ours. */
const aliases: Readonly<Record<string, string>> = {
  groupId: 'group.id',
  clientId: 'client.id',
  partitionAssigners: 'partition.assignment.strategy',
  autoOffsetReset: 'auto.offset.reset',
  isolationLevel: 'isolation.level',
  autoCommit: 'enable.auto.commit',
  autoCommitInterval: 'auto.commit.interval.ms',
}
const names = [...Object.entries(aliases).flat(), 'readUncommitted', 'rebalanceTimeout', 'autoCommitThreshold']

export function resolveConsumerOptions(given: ConsumerOptions): ResolvedConsumerOptions {
  checkClientOptions('consumer', given, names)
  const options: ConsumerOptions = byOurNames('consumer', given, aliases)
  const { groupId, clientId, autoOffsetReset, rebalanceTimeout } = options
  if (groupId !== undefined) checkGroupId(groupId)
  return {
    groupId,
    clientId: clientId === undefined ? 'consumer' : text('clientId', clientId),
    assignors: resolveAssignors(assignersOf(options)),
    reset: autoOffsetReset === undefined ? undefined : parseOffsetReset(autoOffsetReset),
    isolation: isolationOf(options),
    rebalanceTimeoutMs: positive('rebalanceTimeout', rebalanceTimeout, REBALANCE_TIMEOUT_MS),
    autoCommit: resolveAutoCommit(options, {
      enabled: true,
      intervalMs: AUTO_COMMIT_INTERVAL_MS,
      threshold: Number.POSITIVE_INFINITY,
    }),
  }
}

function assignersOf(options: ConsumerOptions): unknown {
  const { partitionAssigners } = options
  const strategy = options['partition.assignment.strategy']
  return typeof strategy === 'string' ? strategy.split(',').map((name) => name.trim()) : partitionAssigners
}

function isolationOf({ isolationLevel, readUncommitted }: ConsumerOptions): IsolationLevel {
  if (isolationLevel === undefined) {
    if (readUncommitted === undefined) return 'read_uncommitted'
    if (typeof readUncommitted !== 'boolean') throw invalid('readUncommitted', readUncommitted, 'a boolean')
    return readUncommitted ? 'read_uncommitted' : 'read_committed'
  }
  if (isolationLevel === 'read_committed' || isolationLevel === 'read_uncommitted') return isolationLevel
  throw invalid('isolationLevel', isolationLevel, "'read_committed' or 'read_uncommitted'")
}

/** What is not said stays as it was. As in kafkajs, null stands for 'not by this'. */
export function resolveAutoCommit(
  given: Pick<ConsumerOptions, 'autoCommit' | 'autoCommitInterval' | 'autoCommitThreshold'>,
  before: AutoCommitOptions,
): AutoCommitOptions {
  const { autoCommit, autoCommitInterval, autoCommitThreshold } = given
  if (autoCommit !== undefined && typeof autoCommit !== 'boolean') throw invalid('autoCommit', autoCommit, 'a boolean')
  return {
    enabled: autoCommit ?? before.enabled,
    intervalMs: positive('autoCommitInterval', autoCommitInterval ?? undefined, before.intervalMs),
    threshold: positive('autoCommitThreshold', autoCommitThreshold ?? undefined, before.threshold),
  }
}

export function positive(name: string, given: unknown, fallback: number): number {
  if (given === undefined) return fallback
  if (typeof given === 'number' && Number.isSafeInteger(given) && given > 0) return given
  throw invalid(name, given, 'a whole number above 0')
}

function text(name: string, given: unknown): string {
  if (typeof given === 'string') return given
  throw invalid(name, given, 'a text')
}

export function invalid(name: string, found: unknown, expected: string): MillraceError {
  return new MillraceError('INVALID_ARGUMENT', `${name} of a consumer is ${describe(found)}`, {
    detail: `expected ${expected}`,
    hint: 'leave it out for the default',
  })
}
