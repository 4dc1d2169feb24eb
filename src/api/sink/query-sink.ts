import { MillraceError } from '../../common/errors.js'
import type { HostSink, QuerySpec } from '../../execution/session.js'
import { refuseInternalTopic } from '../../log/internal-topics.js'
import type { PhysicalPlan } from '../../plan/physical-plan.js'
import type { BlockRef } from '../../types/block.js'
import type { StructType } from '../../types/data-type.js'
import type { Row } from '../../types/row-reader.js'
import type { EngineContext } from '../engine-context.js'
import { consoleOptions, type SinkFormat } from '../writer-options.js'
import { ConsoleSink } from './console-sink.js'
import { fileOutput } from './file-output.js'
import { ForeachBatchSink } from './foreach-batch-sink.js'
import { type ForeachFunction, ForeachFunctionSink, ForeachSink, type ForeachWriter } from './foreach-sink.js'
import { IteratorSink } from './iterator-sink.js'
import { MemorySink } from './memory-sink.js'

/** From what a writer was told to the sink of its query. */
export type SinkTarget =
  | { readonly kind: 'format'; readonly format: SinkFormat }
  | { readonly kind: 'foreach'; readonly writer: ForeachWriter<Row> }
  | { readonly kind: 'foreachFunction'; readonly process: ForeachFunction<Row> }
  | {
      readonly kind: 'foreachBatch'
      readonly deliver: (blocks: readonly BlockRef[], schema: StructType, epoch: number) => void | Promise<void>
    }
  | { readonly kind: 'iterate'; readonly onSink: (sink: IteratorSink) => void }

export interface SinkSettings {
  readonly context: EngineContext
  readonly name: string | undefined
  readonly options: ReadonlyMap<string, string>
  readonly partitionBy: readonly string[]
}

export function sinkOf(target: SinkTarget, plan: PhysicalPlan, settings: SinkSettings): QuerySpec['sink'] {
  switch (target.kind) {
    case 'foreach':
      return hosted(new ForeachSink(plan.schema, target.writer), 'ForeachSink')
    case 'foreachFunction':
      return hosted(new ForeachFunctionSink(plan.schema, target.process), 'ForeachSink')
    case 'foreachBatch': {
      const sink = new ForeachBatchSink(plan.schema, (blocks, epoch) => target.deliver(blocks, plan.schema, epoch))
      return { ...hosted(sink, 'ForeachBatchSink'), durableRows: true }
    }
    case 'iterate': {
      const sink = new IteratorSink(plan.schema)
      target.onSink(sink)
      return hosted(sink, 'IteratorSink')
    }
    case 'format':
      return formatSink(target.format, plan, settings)
  }
}

function formatSink(
  format: SinkFormat,
  plan: PhysicalPlan,
  { context, name, options, partitionBy }: SinkSettings,
): QuerySpec['sink'] {
  switch (format) {
    case 'noop':
      return { kind: 'noop' }
    case 'console':
      return hosted(new ConsoleSink(plan.schema, consoleOptions(options), (text) => context.print(text)), 'ConsoleSink')
    case 'memory': {
      if (name === undefined) {
        throw new MillraceError('MISSING_QUERY_NAME', 'the memory sink needs a name for its table', {
          detail: 'found no queryName',
          hint: "add queryName('seen') and read it with mill.table('seen')",
        })
      }
      const sink = new MemorySink(plan)
      context.tables.set(name, { schema: plan.schema, snapshot: () => sink.snapshot() })
      return hosted(sink, 'MemorySink')
    }
    case 'log': {
      const topic = options.get('topic')
      if (topic === undefined) {
        throw new MillraceError('MISSING_OPTION', "the log sink needs the option 'topic'", {
          detail: 'found none',
          hint: "option('topic', 'per-page')",
        })
      }
      refuseInternalTopic(topic)
      return { kind: 'log', topic }
    }
    default:
      return fileOutput(
        { format, path: undefined, options, partitionBy, saveMode: 'append' },
        plan.schema,
        plan.outputMode,
      )
  }
}

function hosted(sink: HostSink, description: string): QuerySpec['sink'] & { readonly kind: 'host' } {
  return { kind: 'host', sink, description }
}
