/** What the options of files are by Spark's names, checked where they are given and read where the bytes are. Left out they are Spark's defaults. */
type Given = Readonly<Record<string, string>>

/** What becomes of a record that is not of its schema: null for what does not fit, left out, or the end of the query. */
export type ParseMode = 'PERMISSIVE' | 'DROPMALFORMED' | 'FAILFAST'
export const parseModes: readonly ParseMode[] = ['PERMISSIVE', 'DROPMALFORMED', 'FAILFAST']

export const parseModeOf = (options: Given): ParseMode =>
  parseModes.find((mode) => mode === options.mode?.toUpperCase()) ?? 'PERMISSIVE'

/** The column that has the text of a record that is malformed, where the schema has such a column. */
export const corruptColumnOf = (options: Given): string => options.columnNameOfCorruptRecord ?? '_corrupt_record'

export const isOn = (options: Given, name: string, otherwise = false): boolean =>
  options[name] === undefined ? otherwise : options[name].toLowerCase() === 'true'

export interface CsvDialect {
  readonly separator: string
  readonly quote: string
  readonly escape: string
  readonly comment: string | undefined
  readonly header: boolean
  /** False: the names of the header are held against the schema. */
  readonly enforceSchema: boolean
  readonly nullValue: string
  readonly emptyValue: string
  readonly nanValue: string
  readonly positiveInf: string
  readonly negativeInf: string
  readonly trimStart: boolean
  readonly trimEnd: boolean
  readonly multiLine: boolean
}

export function csvDialectOf(options: Given): CsvDialect {
  return {
    separator: options.sep ?? options.delimiter ?? ',',
    quote: options.quote ?? '"',
    escape: options.escape ?? '\\',
    comment: options.comment,
    header: isOn(options, 'header'),
    enforceSchema: isOn(options, 'enforceSchema', true),
    nullValue: options.nullValue ?? '',
    emptyValue: options.emptyValue ?? '',
    nanValue: options.nanValue ?? 'NaN',
    positiveInf: options.positiveInf ?? 'Inf',
    negativeInf: options.negativeInf ?? '-Inf',
    trimStart: isOn(options, 'ignoreLeadingWhiteSpace'),
    trimEnd: isOn(options, 'ignoreTrailingWhiteSpace'),
    multiLine: isOn(options, 'multiLine'),
  }
}
