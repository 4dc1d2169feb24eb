import type { MillraceError } from '../common/errors.js'
import type { StreamingQueryProgress, StreamingQueryStatus } from '../execution/progress.js'
import type { PhysicalPlan } from '../plan/physical-plan.js'
import type { BlockRef } from '../types/block.js'
import type { StructType } from '../types/data-type.js'
import type { ResolvedOptions } from './open-options.js'

/** The host's side of the runtime, as the API meets it. */
export interface QuerySpec {
  readonly name: string
  readonly plan: PhysicalPlan
  /** Shared blocks of memory sources, by tableId. */
  readonly tables: ReadonlyMap<string, readonly BlockRef[]>
  readonly mode:
    | { readonly kind: 'batch' }
    | { readonly kind: 'microBatch'; readonly intervalMs: number; readonly stopWhenCaughtUp?: boolean }
    | { readonly kind: 'continuous'; readonly intervalMs: number }
  /** Directory. */
  readonly checkpoint?: string
  readonly sink:
    | { readonly kind: 'noop' }
    | { readonly kind: 'log'; readonly topic: string }
    | { readonly kind: 'host'; readonly sink: HostSink; readonly durableRows?: boolean }
  readonly options: Readonly<Record<string, string>>
}

/** Runs on the host thread. Blocks are valid during the call only: decode or copy. */
export interface HostSink {
  /** As early as possible. */
  rows(block: BlockRef, epoch: number, task: number): void | Promise<void>
  /** All rows of the epoch were given and are committed; awaited before the epoch counts as delivered. */
  epoch?(epoch: number): void | Promise<void>
}

export interface QueryHandle {
  readonly id: string
  readonly runId: string
  status(): StreamingQueryStatus
  lastProgress(): StreamingQueryProgress | null
  recentProgress(): readonly StreamingQueryProgress[]
  stop(): Promise<void>
  drain(): Promise<void>
  processAllAvailable(): Promise<void>
  /** Rejects with the query's error. With a timeout: whether the query ended within it. */
  awaitTermination(timeoutMs?: number): Promise<boolean | void>
  exception(): MillraceError | null
  onProgress(listener: (progress: StreamingQueryProgress) => void): void
}

export interface Topics {
  create(name: string, options?: object): Promise<TopicFacts>
  list(): readonly TopicFacts[]
  get(name: string): TopicFacts
}

export interface LogClient {
  readonly topics: Topics
  producer(options?: object): unknown
  consumer(options: object): unknown
}

export declare class EngineSession {
  static open(options: ResolvedOptions): Promise<EngineSession>
  readonly log: LogClient
  start(spec: QuerySpec): Promise<QueryHandle>
  close(): Promise<void>
}

/** What a plan needs of a topic. */
export interface TopicFacts {
  readonly name: string
  readonly id: string
  readonly partitions: number
  readonly schema: StructType | undefined
}
