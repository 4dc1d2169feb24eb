import { resolve } from 'node:path'
import { parseDuration } from '../../common/duration.js'
import { MillraceError } from '../../common/errors.js'
import type { QuerySpec } from '../../execution/session.js'
import type { TextFormat } from '../../plan/logical-plan.js'
import type { OutputMode } from '../../plan/physical-plan.js'
import { type DataType, type StructType, typeName } from '../../types/data-type.js'
import { checkFileOption } from '../file-options.js'
import { invalidOption } from '../unknown-name.js'

/** From what a writer was told to the files that it writes. */
const ROLL_BYTES = 128 << 20
const ROLL_AGE = '1 minute'

export interface FileOutput {
  readonly format: TextFormat
  readonly path: string | undefined
  readonly options: ReadonlyMap<string, string>
  readonly partitionBy: readonly string[]
  readonly saveMode: 'append' | 'overwrite'
}

export function fileOutput(
  { format, path, options, partitionBy, saveMode }: FileOutput,
  schema: StructType,
  outputMode: OutputMode,
): QuerySpec['sink'] & { readonly kind: 'files' } {
  const given = path ?? options.get('path')
  if (given === undefined || given.trim() === '') {
    throw new MillraceError('MISSING_OPTION', `the sink '${format}' needs a path`, {
      detail: 'found none',
      hint: "option('path', './output')",
    })
  }
  if (outputMode !== 'append') {
    throw new MillraceError('UNSUPPORTED_OUTPUT_MODE', `files are written in append mode, and not in ${outputMode}`, {
      detail: 'a row that is in a file stays as it is',
      hint: "outputMode('append') with a watermark; or foreachBatch, which gets the changed rows of each epoch",
    })
  }
  for (const [name, value] of options) checkFileOption(name, value, true)
  checkPartitions(schema, partitionBy)
  for (const field of schema.fields) {
    if (format === 'csv' && !partitionBy.includes(field.name)) checkCell(field.name, field.type)
  }
  const rollBytes = options.get('rollBytes') ?? String(ROLL_BYTES)
  if (!/^[1-9]\d{0,14}$/.test(rollBytes)) throw invalidOption('rollBytes', rollBytes, 'a whole number from 1 on')
  return {
    kind: 'files',
    files: {
      format,
      path: resolve(given),
      options: Object.fromEntries(options),
      partitionBy,
      rollBytes: Number(rollBytes),
      rollAgeMs: parseDuration(options.get('rollAge') ?? ROLL_AGE, 'the option rollAge'),
      saveMode,
    },
  }
}

function checkPartitions({ fields }: StructType, names: readonly string[]): void {
  const refuse = (what: string, hint: string): never => {
    throw new MillraceError('INVALID_PARTITION_BY', `partitionBy(${names.join(', ')}): ${what}`, {
      detail: `the columns are ${fields.map((field) => `${field.name} ${typeName(field.type)}`).join(', ')}`,
      hint,
    })
  }
  for (const name of names) {
    const field = fields.find((one) => one.name === name)
    if (field === undefined) refuse(`there is no column ${name}`, 'name columns of the rows')
    else if (isNested(field.type) || field.type.kind === 'binary') {
      refuse(`${name} is no name for a folder`, 'partition by texts, numbers, dates and the like')
    }
  }
  if (new Set(names).size < names.length) refuse('a column is named twice', 'name each once')
  if (names.length > 0 && names.length === fields.length) refuse('nothing is left for the files', 'leave a column out')
}

const isNested = ({ kind }: DataType): boolean => kind === 'struct' || kind === 'array' || kind === 'map'

function checkCell(name: string, type: DataType): void {
  if (!isNested(type) && type.kind !== 'binary') return
  throw new MillraceError('UNSUPPORTED_TYPE', `CSV has no cell for the column ${name}`, {
    detail: `found ${typeName(type)}, expected a text, a number, a truth value or a time`,
    hint: "toJson(col('…')) makes a text of it; or write JSON",
  })
}
