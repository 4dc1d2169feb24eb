import type { FailurePolicy } from '../dead-letter/failure-policy.js'
import { type PhysicalPlan, scanStages } from '../plan/physical-plan.js'
import type { BlockRef } from '../types/block.js'
import type { FileSinkStart, QueryMode, QueryStart } from './engine-protocol.js'
import type { HostSink } from './host-sink.js'

/** A query as it is handed to the session, and what follows from that alone. */
export interface QuerySpec {
  readonly name: string
  readonly plan: PhysicalPlan
  /** Shared blocks of memory sources, by tableId. */
  readonly tables: ReadonlyMap<string, readonly BlockRef[]>
  readonly mode: QueryMode
  /** Directory. */
  readonly checkpoint?: string
  readonly sink:
    | { readonly kind: 'noop' }
    | { readonly kind: 'log'; readonly topic: string }
    | { readonly kind: 'files'; readonly files: FileSinkStart }
    /**
     * `description`: what progress calls it. `durableRows`: an epoch's rows are given only once they are written down
     * (foreachBatch).
     */
    | {
        readonly kind: 'host'
        readonly sink: HostSink
        readonly description: string
        readonly durableRows?: boolean
      }
  readonly options: Readonly<Record<string, string>>
  /** What becomes of records that fail; left out, the query ends by the first. */
  readonly failures?: FailurePolicy | undefined
}

/** By name, those that it reads. */
export function topicsOf(plan: PhysicalPlan): readonly string[] {
  return scanStages(plan).flatMap(({ input }) => (input.source.topics ?? []).map(({ name }) => name))
}

/** Rows in memory are one input partition. */
export function runsOnOneWorker({ plan: { stages } }: QuerySpec): boolean {
  const [first] = stages
  return stages.length === 1 && first?.input.kind === 'scan' && first.input.source.tableId !== undefined
}

/** What the engine has to know of a sink. */
export function sinkStart(sink: QuerySpec['sink']): QueryStart['sink'] {
  if (sink.kind === 'noop') return { kind: 'noop', description: 'NoopSink' }
  if (sink.kind === 'log') return { kind: 'log', topic: sink.topic, description: `LogSink[${sink.topic}]` }
  if (sink.kind === 'files') {
    const { format, path } = sink.files
    return { kind: 'files', files: sink.files, description: `FileSink[${format}: ${path}]` }
  }
  const kind = sink.durableRows === true ? 'durable' : 'rows'
  return { kind, description: sink.description, forgets: sink.sink.forget !== undefined }
}
