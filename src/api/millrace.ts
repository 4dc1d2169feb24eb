import { engineClosed, MillraceError } from '../common/errors.js'
import { modulesLoaded } from '../common/lazy-module.js'
import type { EngineSession } from '../execution/session.js'
import type { VerifyReport } from '../log/log-verify.js'
import type { FsyncMode } from '../log/log-writer.js'
import type { BlockRef } from '../types/block.js'
import type { StructType } from '../types/data-type.js'
import type { Row } from '../types/row-reader.js'
import { type StructSchema, t } from '../types/schema.js'
import type { DataFrame } from './dataframe.js'
import type { EngineContext } from './engine-context.js'
import type * as Frames from './frames.js'
import { type MillraceOptions, type ResolvedOptions, resolveOptions } from './open-options.js'
import type { QueryRegistry } from './query-registry.js'
import type { DataFrameReader } from './reader.js'

/** What {@link Millrace.describe} answers. */
export interface EngineDescription {
  readonly dir: string | null
  readonly workers: number
  readonly memoryBudget: number
  readonly ansi: boolean
  readonly fsync: { readonly mode: FsyncMode; readonly lossWindow: string }
  readonly topics: readonly { readonly name: string; readonly partitions: number; readonly typed: boolean }[]
  readonly queries: readonly { readonly name: string | null; readonly id: string }[]
}

const lossWindows: Readonly<Record<FsyncMode, string>> = {
  never:
    'what the operating system has not written by itself, mostly the last 30 seconds; nothing where only the process dies',
  interval: 'what was sent since the last sync, at most one interval; nothing where only the process dies',
  group: 'nothing that was acknowledged: an acknowledgement waits for the sync that it shares with other sends',
  always: 'nothing that was acknowledged: every send has a sync of its own',
}

/**
 * The engine: a partitioned log and its queries, in this process.
 *
 *   await using mill = await Millrace.open({ dir: './data' })
 */
export class Millrace {
  /** The queries of this engine. */
  readonly queries: QueryRegistry
  readonly #session: EngineSession
  readonly #options: ResolvedOptions
  readonly #context: EngineContext
  /** Loaded when an engine is opened: who imports the package only for its types and functions does not pay for queries. */
  readonly #frames: typeof Frames
  #closing: Promise<void> | undefined

  private constructor(session: EngineSession, options: ResolvedOptions, frames: typeof Frames) {
    this.#session = session
    this.#options = options
    this.#frames = frames
    const queries = new frames.QueryRegistry()
    this.queries = queries
    const open = (): EngineSession => this.#open()
    this.#context = {
      get session() {
        return open()
      },
      ansi: options.ansi,
      dir: options.dir,
      localRowsMax: options.localRowsMax,
      queries,
      tables: new frames.NamedTables(),
      topic: (name) => open().log.topics.get(name),
      print: (text) => void process.stdout.write(text),
    }
  }

  /** Opens the engine: in memory, or on the files of `dir`, which no second process may have open. */
  static async open(options: MillraceOptions = {}): Promise<Millrace> {
    if (Reflect.get(globalThis, Symbol.for('millrace.worker')) === true) throw openedOnWorker()
    const resolved = resolveOptions(options)
    // What is on disk is recovered by the engine thread, so it goes first and loads while this one loads the rest. In memory there is nothing to
    // wait for, and small queries need no thread (local-run.ts): there this one goes first, since two that load take longer, on two cores too.
    const threads = resolved.dir === undefined ? undefined : await import('../execution/threads.js')
    const early = threads && new threads.Threads(resolved)
    const [{ EngineSession }, frames] = await Promise.all([import('../execution/session.js'), import('./frames.js')])
    await modulesLoaded()
    return new Millrace(await EngineSession.open(resolved, early), resolved, frames)
  }

  /** Topics: `create`, `list`, `describe`, `delete`. */
  get topics(): EngineSession['log']['topics'] {
    return this.#open().log.topics
  }

  /** Consumer groups and share groups: `list`, `describe` with lag, `delete`, `resetOffsets`, `alter`. */
  get groups(): EngineSession['log']['groups'] {
    return this.#open().log.groups
  }

  /** Transactions: `list`, `describe`, `abort`. */
  get transactions(): EngineSession['log']['transactions'] {
    return this.#open().log.transactions
  }

  producer(...args: Parameters<EngineSession['log']['producer']>): ReturnType<EngineSession['log']['producer']> {
    return this.#open().log.producer(...args)
  }

  consumer(...args: Parameters<EngineSession['log']['consumer']>): ReturnType<EngineSession['log']['consumer']> {
    return this.#open().log.consumer(...args)
  }

  /** A queue's consumer: those of one share group take records of the same partitions, and acknowledge them one by one. */
  shareConsumer(
    ...args: Parameters<EngineSession['log']['shareConsumer']>
  ): ReturnType<EngineSession['log']['shareConsumer']> {
    return this.#open().log.shareConsumer(...args)
  }

  /** Reads what is stored, and ends. */
  get read(): DataFrameReader {
    this.#open()
    return new (this.#frames.reading().DataFrameReader)(this.#context, false)
  }

  /** Reads what comes, without an end. */
  get readStream(): DataFrameReader {
    this.#open()
    return new (this.#frames.reading().DataFrameReader)(this.#context, true)
  }

  /** Bounded rows from this thread. A value that does not fit the schema is refused with its path. */
  createDataFrame<Out extends object, In>(rows: readonly In[], schema: StructSchema<Out, In>): DataFrame<Out>
  createDataFrame(rows: readonly Row[], schema: StructType | string): DataFrame
  createDataFrame<Out extends object, In>(
    rows: readonly unknown[],
    schema: StructSchema<Out, In> | StructType | string,
  ): DataFrame<Out> | DataFrame {
    this.#open()
    const type = this.#frames.structOf(typeof schema === 'string' ? t.ddl(schema) : schema)
    if (!Array.isArray(rows)) {
      throw new MillraceError('ROWS_EXPECTED', 'createDataFrame() takes an array of objects', {
        detail: `found ${rows === null ? 'null' : typeof rows}`,
        hint: 'mill.createDataFrame([{ a: 1 }], t.struct({ a: t.int }))',
      })
    }
    const blocks: readonly BlockRef[] = this.#frames.blocksFromRows(type, rows)
    const tableId = this.#frames.nextTableId()
    return new this.#frames.DataFrame<Out>(
      this.#context,
      { op: 'scan', source: { format: 'memory', streaming: false, schema: type, tableId, options: {} } },
      new Map([[tableId, { schema: type, blocks: () => blocks }]]),
    )
  }

  /** What the memory sink of the query with this name holds; it is read at the time of the action. */
  table(name: string): DataFrame {
    return this.read.table(name)
  }

  /** How the engine is set up, and what a crash could cost. */
  async describe(): Promise<EngineDescription> {
    const { dir, workers, memoryBudget, ansi, fsync } = this.#options
    const topics = this.#open().log.topics.list()
    return {
      dir: dir ?? null,
      workers,
      memoryBudget,
      ansi,
      fsync: {
        mode: fsync,
        lossWindow: dir === undefined ? 'everything: no dir is set, so all is in memory' : lossWindows[fsync],
      },
      topics: topics.map((topic) => ({
        name: topic.name,
        partitions: topic.partitions,
        typed: topic.schema !== undefined,
      })),
      queries: this.queries.active.map(({ name, id }) => ({ name, id })),
    }
  }

  /**
   * Walks every file: each record batch's length, checksum, place and content, indexes, checkpoints. Nothing is changed, and the engine goes on
   * working. `npx millrace verify DIR` does the same for a directory that no engine has open, and can salvage what is whole.
   */
  verify(): Promise<VerifyReport> {
    return this.#open().verify()
  }

  /** Stops the queries at an epoch and syncs. A second call waits for the first. */
  close(): Promise<void> {
    this.#closing ??= this.#session.close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #open(): EngineSession {
    if (this.#closing === undefined) return this.#session
    throw engineClosed()
  }
}

function openedOnWorker(): MillraceError {
  return new MillraceError('OPENED_ON_WORKER', 'a worker is about to open an engine of its own', {
    detail: 'it has loaded a module for a function of yours, and that module calls Millrace.open()',
    hint: "put the function into a module of its own, fromModule(new URL('./enrich.js', import.meta.url), 'enrich'), or open the engine only if isMainThread of node:worker_threads",
  })
}
