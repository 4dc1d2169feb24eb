import { resolve } from 'node:path'
import { nodeEnv } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import { listFiles } from '../connector/files/file-listing.js'
import { type TextFormat, textFormats } from '../plan/logical-plan.js'
import { type BoundPlan, withBroadcasts } from './batch-run.js'
import type { EngineContext } from './engine-context.js'
import { physicalPlan, tablesOf } from './planning.js'
import { fileOutput } from './sink/file-output.js'
import { unknownName } from './unknown-name.js'
import { checkOptionNames } from './writer-options.js'

/** What becomes of files that are there. */
export type SaveMode = 'append' | 'overwrite' | 'errorIfExists' | 'error' | 'ignore'
const saveModes: readonly SaveMode[] = ['append', 'overwrite', 'errorIfExists', 'error', 'ignore']

let writes = 0

/** Writes rows that end into files: `df.write`, Spark's DataFrameWriter. Nobody sees a file before all of them are whole. */
export class DataFrameWriter {
  readonly #context: EngineContext
  readonly #input: BoundPlan
  readonly #options = new Map<string, string>()
  #format: TextFormat | undefined
  #mode: SaveMode = 'errorIfExists'
  #partitionBy: readonly string[] = []

  constructor(context: EngineContext, input: BoundPlan) {
    this.#context = context
    this.#input = input
  }

  format(format: TextFormat | (string & {})): this {
    const name = String(format).toLowerCase()
    const known = textFormats.find((candidate) => candidate === name)
    if (known === undefined) {
      throw unknownName('UNKNOWN_SINK', `there are no files of format '${format}'`, String(format), textFormats)
    }
    this.#format = known
    return this
  }

  /** Default: an error where there are files already. */
  mode(mode: SaveMode): this {
    const known = saveModes.find((candidate) => candidate.toLowerCase() === String(mode).toLowerCase())
    if (known === undefined) {
      throw unknownName('UNKNOWN_SAVE_MODE', `there is no save mode '${String(mode)}'`, String(mode), saveModes)
    }
    this.#mode = known
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

  /** A folder for each value of these columns, which are then not in the files. */
  partitionBy(...names: readonly string[]): this {
    this.#partitionBy = names
    return this
  }

  json(path: string): Promise<void> {
    return this.format('json').save(path)
  }

  csv(path: string): Promise<void> {
    return this.format('csv').save(path)
  }

  /** Resolves when the files are there. */
  async save(path?: string): Promise<void> {
    const format = this.#format
    if (format === undefined) {
      throw new MillraceError('MISSING_SINK', 'the writer has no format', {
        detail: 'found no format()',
        hint: `choose one with format('${textFormats.join("' | '")}')`,
      })
    }
    checkOptionNames(format, this.#options)
    const context = this.#context
    const plan = physicalPlan(this.#input.plan, { ansi: context.ansi, outputMode: 'append', mode: 'batch' })
    const saveMode = this.#mode === 'overwrite' ? 'overwrite' : 'append'
    const output = { format, path, options: this.#options, partitionBy: this.#partitionBy, saveMode } as const
    const sink = fileOutput(output, plan.schema, 'append')
    context.session.assertOpen()
    if (this.#mode !== 'append' && this.#mode !== 'overwrite' && isThere(sink.files.path)) {
      if (this.#mode === 'ignore') return
      throw new MillraceError('PATH_ALREADY_EXISTS', `there are files in ${sink.files.path} already`, {
        detail: `found some, and the save mode is '${this.#mode}'`,
        hint: "mode('append'), mode('overwrite') or mode('ignore'); or another path",
      })
    }
    const tables = await withBroadcasts(context, plan, tablesOf(this.#input.tables))
    writes += 1
    const handle = await context.session.start({
      name: `write-${writes}`,
      plan,
      tables,
      mode: { kind: 'batch' },
      sink,
      options: {},
    })
    await handle.awaitTermination()
  }
}

/** Where anybody would see something. */
function isThere(path: string): boolean {
  const { fs } = nodeEnv
  return fs.stat(resolve(path)) !== undefined && listFiles(fs, path).length > 0
}
