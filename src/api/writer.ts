import { isAbsolute, join, resolve } from 'node:path'
import { MillraceError } from '../common/errors.js'
import type { FailurePolicy } from '../dead-letter/failure-policy.js'
import type { OutputMode } from '../plan/physical-plan.js'
import type { BlockRef } from '../types/block.js'
import type { StructType } from '../types/data-type.js'
import { describe } from '../types/invalid-value.js'
import type { BoundPlan } from './batch-run.js'
import { withBroadcasts } from './batch-run.js'
import type { EngineContext } from './engine-context.js'
import { checkLetters, defaultPolicy, type FailureOptions, failurePolicy } from './failure-options.js'
import { explainPlan, physicalPlan, tablesOf } from './planning.js'
import type { ForeachFunction, ForeachWriter } from './sink/foreach-sink.js'
import type { IteratorSink } from './sink/iterator-sink.js'
import { type SinkTarget, sinkOf } from './sink/query-sink.js'
import { type ExplainMode, StreamingQuery } from './streaming-query.js'
import { checkTrigger, defaultTrigger, queryMode, type Trigger } from './trigger.js'
import { unknownName } from './unknown-name.js'
import { checkOptionNames, runOptions, type SinkFormat, sinkFormats, watermarkRule } from './writer-options.js'

export { DataFrameWriter } from './batch-writer.js'

const outputModes: readonly OutputMode[] = ['append', 'update', 'complete']

/** Where a stream's rows go, how and when: `df.writeStream`, Spark's DataStreamWriter. `F` is the DataFrame's own type. */
export class DataStreamWriter<R extends object, F> {
  readonly #context: EngineContext
  readonly #input: BoundPlan
  readonly #frameOf: (schema: StructType, blocks: readonly BlockRef[]) => F
  readonly #options = new Map<string, string>()
  #target: SinkTarget | undefined
  #name: string | undefined
  #outputMode: OutputMode = 'append'
  #trigger: Trigger = defaultTrigger
  #failures: FailurePolicy | undefined
  #partitionBy: readonly string[] = []

  constructor(
    context: EngineContext,
    input: BoundPlan,
    frameOf: (schema: StructType, blocks: readonly BlockRef[]) => F,
  ) {
    this.#context = context
    this.#input = input
    this.#frameOf = frameOf
  }

  queryName(name: string): this {
    // The name becomes a folder of the checkpoints.
    if (typeof name !== 'string' || !/^[\p{L}\p{N}_][\p{L}\p{N}_. -]{0,127}$/u.test(name)) {
      throw new MillraceError('INVALID_QUERY_NAME', `'${String(name)}' is no name for a query`, {
        detail: 'expected 1 to 128 characters that can be the name of a folder',
        hint: 'letters, digits, blank, dot, dash and underscore, at most 128, and no dot, dash or blank at the start',
      })
    }
    this.#name = name
    return this
  }

  outputMode(mode: OutputMode): this {
    if (!outputModes.includes(mode)) {
      throw unknownName('UNKNOWN_OUTPUT_MODE', `there is no output mode '${String(mode)}'`, String(mode), outputModes)
    }
    this.#outputMode = mode
    return this
  }

  trigger(trigger: Trigger): this {
    this.#trigger = checkTrigger(trigger)
    return this
  }

  /**
   * What becomes of a record that fails in the query's functions or expressions, or that the function of a sink throws at: tried again, and then a dead letter,
   * left out, or the end of the query. Default: three attempts, then a dead letter; a query that reads anything else than topics ends by its first failure. See
   * docs/failure-policy.md.
   */
  onError(options: FailureOptions = {}): this {
    this.#failures = failurePolicy(options)
    return this
  }

  format(format: SinkFormat | (string & {})): this {
    const given = String(format).toLowerCase()
    const name = given === 'kafka' ? 'log' : given
    const known = sinkFormats.find((candidate) => candidate === name)
    if (known === undefined)
      throw unknownName('UNKNOWN_SINK', `there is no sink '${format}'`, String(format), sinkFormats)
    this.#target = { kind: 'format', format: known }
    return this
  }

  option(name: string, value: string | number | boolean): this {
    this.#options.set(name, String(value))
    return this
  }

  options(options: Readonly<Record<string, string | number | boolean>>): this {
    for (const [name, value] of Object.entries(options)) this.option(name, value)
    return this
  }

  /** Of a sink of files: a folder for each value of these columns, which are then not in the files. */
  partitionBy(...names: readonly string[]): this {
    this.#partitionBy = names
    return this
  }

  /** A row at a time, in this thread, as early as it is there; after a crash rows may come again. */
  foreach(writer: ForeachFunction<R> | ForeachWriter<R>): this {
    if (typeof writer === 'function') {
      this.#target = { kind: 'foreachFunction', process: (row) => writer(row as R) }
      return this
    }
    if (typeof writer !== 'object' || writer === null || typeof writer.process !== 'function') {
      throw new MillraceError('INVALID_FOREACH', 'foreach() takes a function or an object with a method process', {
        detail: `found ${describe(writer)}`,
        hint: 'foreach((row) => { … }) or foreach({ open, process, close })',
      })
    }
    this.#target = {
      kind: 'foreach',
      writer: {
        open: (partitionId, epochId) => writer.open?.(partitionId, epochId),
        process: (row) => writer.process(row as R),
        close: (error) => writer.close?.(error),
      },
    }
    return this
  }

  /** The rows of an epoch as a DataFrame, once they are durable. An epoch that comes again has the same rows. */
  foreachBatch(fn: (rows: F, epochId: number) => void | Promise<void>): this {
    if (typeof fn !== 'function')
      throw new MillraceError('INVALID_FOREACH', 'foreachBatch() takes a function', {
        detail: `found ${describe(fn)}`,
        hint: 'foreachBatch(async (rows, epochId) => { … })',
      })
    this.#target = {
      kind: 'foreachBatch',
      deliver: (blocks, schema, epoch) => fn(this.#frameOf(schema, blocks), epoch),
    }
    return this
  }

  /** Starts the query; `path` is the folder of a sink of files. Resolves when its start offsets are pinned: what is sent from then on is in its input. */
  async start(path?: string): Promise<StreamingQuery> {
    if (path !== undefined) this.option('path', path)
    const target = this.#target
    if (target === undefined) {
      throw new MillraceError('MISSING_SINK', 'the query has no sink', {
        detail: 'found neither format() nor foreach() nor foreachBatch()',
        hint: `choose one with format('${sinkFormats.join("' | '")}'), foreach, foreachBatch or iterate`,
      })
    }
    return await this.#start(target)
  }

  /**
   * Starts the query and gives its rows in this thread as they come; the query waits while the loop is slow.
   * Leaving the loop stops the query, and the query's error is thrown into the loop.
   */
  iterate(): AsyncIterableIterator<R, undefined> {
    let sink: IteratorSink | undefined
    const started = this.#start({
      kind: 'iterate',
      onSink: (made) => {
        sink = made
      },
    }).then((query) => {
      query.awaitTermination().then(
        () => sink?.end(),
        (error: unknown) => sink?.end(error),
      )
      return query
    })
    // An error of the start is thrown by the loop's first step, and not before.
    started.catch(() => {})
    const finish = async (): Promise<IteratorResult<R, undefined>> => {
      sink?.abandon()
      const query = await started.catch(() => undefined)
      await query?.stop()
      return { done: true, value: undefined }
    }
    return {
      async next() {
        await started
        const step = await sink?.next()
        if (step === undefined || step.done === true) return { done: true, value: undefined }
        return { done: false, value: step.value as R }
      },
      return: finish,
      async throw(error: unknown) {
        await finish()
        throw error
      },
      [Symbol.asyncIterator]() {
        return this
      },
    }
  }

  async #start(target: SinkTarget): Promise<StreamingQuery> {
    const context = this.#context
    const format = target.kind === 'format' ? target.format : undefined
    checkOptionNames(format, this.#options)
    const mode = queryMode(this.#trigger)
    const watermark = watermarkRule(this.#options, mode.kind)
    const planning = { ansi: context.ansi, outputMode: this.#outputMode, mode: mode.kind, watermark }
    const plan = physicalPlan(this.#input.plan, planning)
    checkLetters(this.#failures, plan)
    const failures = this.#failures ?? defaultPolicy(plan)
    const checkpoint = this.#checkpoint(format)
    const release = context.queries.claim(this.#name, checkpoint)
    try {
      const tables = await withBroadcasts(context, plan, tablesOf(this.#input.tables))
      const sink = sinkOf(target, plan, {
        context,
        name: this.#name,
        options: this.#options,
        partitionBy: this.#partitionBy,
      })
      const handle = await context.session.start({
        name: this.#name ?? '',
        plan,
        tables,
        mode,
        ...(checkpoint === undefined ? {} : { checkpoint }),
        sink,
        options: runOptions(this.#options),
        failures,
      })
      const explain = (explainMode: ExplainMode = 'simple'): string => {
        const text = explainPlan(this.#input.plan, explainMode, planning)
        context.print(`${text}\n`)
        return text
      }
      const query = new StreamingQuery(handle, this.#name ?? null, explain, (ended) => {
        release()
        context.queries.remove(ended)
      })
      context.queries.add(query)
      return query
    } catch (error) {
      release()
      throw error
    }
  }

  /**
   * A named query of an engine with a folder has a checkpoint without being told. Not so the memory sink: its rows
   * die with the process, so a checkpoint would skip at the next start what nobody holds any more.
   */
  #checkpoint(format: SinkFormat | undefined): string | undefined {
    const given = this.#options.get('checkpointLocation')
    const { dir } = this.#context
    if (given !== undefined) return isAbsolute(given) ? given : resolve(given)
    if (dir === undefined || this.#name === undefined || format === 'memory') return undefined
    return join(dir, 'checkpoints', this.#name)
  }
}
