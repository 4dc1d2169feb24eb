import { resolve } from 'node:path'
import { MillraceError } from '../common/errors.js'
import { logSchema, rateSchema } from '../connector/source-schemas.js'
import type { FileFormat, LogicalPlan, SourceSpec } from '../plan/logical-plan.js'
import { blocksFromRows } from '../types/column-builder.js'
import { type StructType, sameType, structType, typeName } from '../types/data-type.js'
import type { Row } from '../types/row-reader.js'
import type { StructSchema } from '../types/schema.js'
import { DataFrame } from './dataframe.js'
import type { EngineContext } from './engine-context.js'
import { nextTableId, type PlanTables } from './memory-tables.js'
import { checkNamedPartitions, checkSourceOptions, type SourceFormat, sourceFormats } from './source-options.js'
import { structOf } from './struct-of.js'
import { unknownName } from './unknown-name.js'

/**
 * Where rows come from: `mill.read` for what is there and ends, `mill.readStream` for what goes on. Options come
 * before `topic()` or `load()`. A schema makes the rows typed: `mill.readStream.topic('user-clicks', Click)`.
 */
export class DataFrameReader<R extends object = Row> {
  readonly #context: EngineContext
  readonly #streaming: boolean
  readonly #options = new Map<string, string>()
  #format: SourceFormat | undefined
  #schema: StructType | undefined

  constructor(context: EngineContext, streaming: boolean) {
    this.#context = context
    this.#streaming = streaming
  }

  format(format: SourceFormat | 'kafka' | (string & {})): this {
    const given = String(format).toLowerCase()
    const name = given === 'kafka' ? 'log' : given
    const known = sourceFormats.find((candidate) => candidate === name)
    if (known === undefined) {
      throw unknownName('UNKNOWN_SOURCE', `there is no source '${format}'`, String(format), [...sourceFormats, 'kafka'])
    }
    this.#format = known
    return this
  }

  option(name: string, value: string | number | boolean | object): this {
    this.#options.set(name, typeof value === 'object' ? JSON.stringify(value) : String(value))
    return this
  }

  options(options: Readonly<Record<string, string | number | boolean | object>>): this {
    for (const [name, value] of Object.entries(options)) this.option(name, value)
    return this
  }

  /** What the rows are expected to be; checked against the topic, and known to TypeScript from here on. */
  schema<Out extends object, In>(schema: StructSchema<Out, In>): DataFrameReader<Out> {
    const typed = new DataFrameReader<Out>(this.#context, this.#streaming)
    for (const [name, value] of this.#options) typed.option(name, value)
    typed.#format = this.#format
    typed.#schema = structOf(schema)
    return typed
  }

  /**
   * The fields of a typed topic's values. A schema types the rows and is checked against the topic's; a type
   * argument (`topic<t.infer<typeof Click>>('user-clicks')`) types them unchecked.
   */
  topic<Out extends object = R>(name: string): DataFrame<Out>
  topic<Out extends object, In>(name: string, schema: StructSchema<Out, In>): DataFrame<Out>
  topic<Out extends object, In>(name: string, schema?: StructSchema<Out, In>): DataFrame<Out> {
    checkSourceOptions('log', this.#streaming, this.#options)
    const topic = this.#context.topic(name)
    if (topic.schema === undefined) {
      throw new MillraceError('TOPIC_UNTYPED', `topic ${name} has no schema, its values are bytes`, {
        detail: 'its rows have no fields, topic() reads fields',
        hint: `read it with format('log').option('subscribe', '${name}').load(), or create it with a schema`,
      })
    }
    const expected = schema === undefined ? this.#schema : structOf(schema)
    if (expected !== undefined && !sameType(expected, topic.schema)) {
      throw new MillraceError('SCHEMA_DIFFERS', `topic ${name} has another schema than the one that was given`, {
        detail: `found ${typeName(topic.schema)}, expected ${typeName(expected)}`,
        hint: "give topic() the topic's own schema, or none",
      })
    }
    return this.#scan<Out>({
      format: 'topic',
      schema: topic.schema,
      topics: [{ name, id: topic.id, partitions: topic.partitions }],
    })
  }

  /** The source as the options say. `log`: Kafka's columns; `memory`: a table by its name; files: a path, a folder, a pattern. See docs/files.md. */
  load(path?: string): DataFrame<R> {
    const format = this.#format
    if (format === undefined) {
      throw new MillraceError('MISSING_SOURCE', 'the reader has no source', {
        detail: 'found neither format() nor topic()',
        hint: `choose one with format('${sourceFormats.join("' | '")}') or topic('name')`,
      })
    }
    checkSourceOptions(format, this.#streaming, this.#options)
    switch (format) {
      case 'log':
        return this.#loadLog()
      case 'memory':
        return this.#loadTable(path ?? this.#required('table', "option('table', 'seen')"))
      case 'rate':
        if (!this.#streaming) {
          throw new MillraceError(
            'SOURCE_STREAMING_ONLY',
            "the source 'rate' never ends, so it cannot be read as a batch",
            { detail: 'found mill.read, expected mill.readStream', hint: "mill.readStream.format('rate').load()" },
          )
        }
        return this.#scan({ format: 'rate', schema: rateSchema })
      default:
        return this.#loadFiles(format, path)
    }
  }

  /** What a memory sink holds, by the name of its query. */
  table(name: string): DataFrame<R> {
    return this.#loadTable(name)
  }

  #loadLog(): DataFrame<R> {
    const names = this.#required('subscribe', "option('subscribe', 'user-clicks')")
      .split(',')
      .map((name) => name.trim())
      .filter((name) => name !== '')
    const topics = names.map((name) => {
      const { id, partitions } = this.#context.topic(name)
      return { name, id, partitions }
    })
    if (topics.length === 0)
      throw new MillraceError('INVALID_OPTION', "option 'subscribe' names no topic", {
        detail: `found '${this.#options.get('subscribe')}', expected names of topics with commas between`,
        hint: "option('subscribe', 'user-clicks,orders')",
      })
    return this.#scan({ format: 'log', schema: logSchema, topics })
  }

  /** Files of one format. */
  json(path: string): DataFrame<R> {
    return this.format('json').load(path)
  }

  csv(path: string): DataFrame<R> {
    return this.format('csv').load(path)
  }

  /** By the package hyparquet, which must be installed. */
  parquet(path: string): DataFrame<R> {
    return this.format('parquet').load(path)
  }

  #loadFiles(format: FileFormat, given: string | undefined): DataFrame<R> {
    const path = given ?? this.#required('path', "load('./input')")
    const schema = this.#schema
    if (schema === undefined) {
      throw new MillraceError('MISSING_SCHEMA', `the source '${format}' needs a schema`, {
        detail: 'found none, and what files have in them is not guessed',
        hint: "schema(t.struct({ page: t.string })) or schema(t.ddl('page string, ts timestamp')), before load()",
      })
    }
    // Whatever the working directory is when it is read, and in the checkpoint, this is the same path.
    this.#options.set('path', resolve(path))
    // Any field of a file may be missing.
    const fields = schema.fields.map((field) => ({ ...field, nullable: true }))
    return this.#scan({ format, schema: structType(fields) })
  }

  #loadTable(name: string): DataFrame<R> {
    const table = this.#context.tables.get(name)
    const tableId = nextTableId()
    const blocks = () => blocksFromRows(table.schema, table.snapshot())
    return this.#scan(
      { format: 'memory', schema: table.schema, tableId },
      new Map([[tableId, { schema: table.schema, blocks }]]),
    )
  }

  #required(name: string, hint: string): string {
    const value = this.#options.get(name)
    if (value !== undefined && value.trim() !== '') return value
    throw new MillraceError('MISSING_OPTION', `the source '${this.#format}' needs the option '${name}'`, {
      detail: `found ${value === undefined ? 'none' : 'an empty text'}`,
      hint,
    })
  }

  #scan<Out extends object = R>(
    source: Omit<SourceSpec, 'streaming' | 'options'>,
    tables: PlanTables = new Map(),
  ): DataFrame<Out> {
    const startingOffsets = this.#options.get('startingOffsets') ?? (this.#streaming ? 'latest' : 'earliest')
    for (const name of ['startingOffsets', 'endingOffsets']) {
      checkNamedPartitions(name, this.#options.get(name), source.topics ?? [])
    }
    const options = {
      ...Object.fromEntries(this.#options),
      ...(source.topics === undefined ? {} : { startingOffsets }),
    }
    const plan: LogicalPlan = { op: 'scan', source: { ...source, streaming: this.#streaming, options } }
    return new DataFrame<Out>(this.#context, plan, tables)
  }
}
