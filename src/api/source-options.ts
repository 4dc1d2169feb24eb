import { lazyModule } from '../common/lazy-module.js'
import { type FileFormat, fileFormats, isFileFormat } from '../plan/logical-plan.js'
import { invalidOption, nearestHint, unknownName } from './unknown-name.js'

/** With the first files. */
const fileOptions = lazyModule(import.meta.url, './file-options.js', () => import('./file-options.js'))

/** Which options a reader takes, and what their values may be. */
export type SourceFormat = 'log' | 'memory' | 'rate' | FileFormat
export const sourceFormats: readonly SourceFormat[] = ['log', 'memory', 'rate', ...fileFormats]
/** Option of the real cluster's address; absent or `embedded` it is the log of this engine. */
export const BOOTSTRAP_SERVERS = 'kafka.bootstrap.servers'

const log = [
  'subscribe',
  'startingOffsets',
  'endingOffsets',
  'maxOffsetsPerTrigger',
  'isolationLevel',
  'failOnDataLoss',
  BOOTSTRAP_SERVERS,
]
const csvOptions = [
  'sep',
  'delimiter',
  'quote',
  'escape',
  'comment',
  'header',
  'enforceSchema',
  'nullValue',
  'emptyValue',
  'nanValue',
  'positiveInf',
  'negativeInf',
  'ignoreLeadingWhiteSpace',
  'ignoreTrailingWhiteSpace',
]
const files = ['path', 'pathGlobFilter', 'maxFilesPerTrigger', 'maxBytesPerTrigger', 'latestFirst', 'encoding']
const parsed = [...files, 'mode', 'columnNameOfCorruptRecord', 'multiLine']
const known: Readonly<Record<SourceFormat, readonly string[]>> = {
  log,
  memory: ['table'],
  rate: ['rowsPerSecond', 'numPartitions'],
  json: parsed,
  csv: [...parsed, ...csvOptions],
  parquet: files,
}

/** Spark's words for places in a partition, as offsets in a JSON text. */
const EARLIEST = -2
const LATEST = -1

export function checkSourceOptions(
  format: SourceFormat,
  streaming: boolean,
  options: ReadonlyMap<string, string>,
): void {
  const bytes = options.get('maxBytesPerTrigger')
  if (bytes !== undefined && options.has('maxFilesPerTrigger')) {
    throw invalidOption('maxBytesPerTrigger', bytes, 'none beside maxFilesPerTrigger', 'leave one of them out')
  }
  for (const [name, value] of options) {
    if (!known[format].includes(name)) {
      throw unknownName('UNKNOWN_OPTION', `the source '${format}' has no option '${name}'`, name, known[format])
    }
    if (isFileFormat(format)) fileOptions().checkFileOption(name, value, streaming)
    else checkValue(name, value, streaming)
  }
}

function checkValue(name: string, value: string, streaming: boolean): void {
  switch (name) {
    case 'startingOffsets':
      // A bounded read that starts at the end has nothing to read.
      checkOffsets(name, value, {
        word: streaming ? ['earliest', 'latest'] : ['earliest'],
        least: EARLIEST,
        latest: streaming,
      })
      return
    case 'endingOffsets':
      if (streaming) {
        throw invalidOption(
          name,
          value,
          'none: a stream has no end',
          'leave it out, or read what is stored with mill.read',
        )
      }
      checkOffsets(name, value, { word: ['latest'], least: LATEST, latest: true })
      return
    case 'maxOffsetsPerTrigger':
    case 'rowsPerSecond':
    case 'numPartitions':
      if (!/^[1-9]\d{0,14}$/.test(value)) throw invalidOption(name, value, 'a whole number from 1 on')
      return
    case 'isolationLevel':
      if (value !== 'read_committed' && value !== 'read_uncommitted')
        throw invalidOption(name, value, `'read_committed' or 'read_uncommitted'`)
      return
    case 'failOnDataLoss':
      if (value !== 'true' && value !== 'false') throw invalidOption(name, value, `'true' or 'false'`)
      return
    case BOOTSTRAP_SERVERS:
      if (value !== 'embedded') {
        throw invalidOption(
          name,
          value,
          `'embedded', the log of this engine`,
          'reading a cluster needs a connector that this version does not have',
        )
      }
  }
}

interface OffsetRules {
  readonly word: readonly string[]
  readonly least: number
  /** -1 may stand for the end of a partition. */
  readonly latest: boolean
}

/** A word, or `{"topic":{"0":23,"1":-2}}` with -2 for earliest and -1 for latest. */
function checkOffsets(name: string, value: string, rules: OffsetRules): void {
  if (rules.word.includes(value)) return
  const expected = `${rules.word.join(', ')} or offsets such as {"user-clicks":{"0":23,"1":42}}`
  for (const partitions of Object.values(objectOf(name, parsedJson(name, value, expected), expected))) {
    for (const [partition, offset] of Object.entries(objectOf(name, partitions, expected))) {
      if (!/^\d+$/.test(partition)) throw invalidOption(name, value, expected, `'${partition}' is no partition`)
      const valid = typeof offset === 'number' && Number.isSafeInteger(offset) && offset >= rules.least
      if (!valid || (offset === LATEST && !rules.latest)) {
        throw invalidOption(name, value, expected, `partition ${partition} has ${String(offset)}`)
      }
    }
  }
}

/** Offsets for a partition that the source does not read are a typing error, and would be passed over. */
export function checkNamedPartitions(
  name: string,
  value: string | undefined,
  topics: readonly { readonly name: string; readonly partitions: number }[],
): void {
  if (value?.trimStart().startsWith('{') !== true) return
  const given = JSON.parse(value) as Record<string, Record<string, number>>
  for (const [topicName, offsets] of Object.entries(given)) {
    const topic = topics.find((candidate) => candidate.name === topicName)
    const names = topics.map((candidate) => candidate.name)
    if (topic === undefined) {
      throw invalidOption(name, value, `offsets of ${names.join(', ')}`, nearestHint(topicName, names))
    }
    const beyond = Object.keys(offsets).find((partition) => Number(partition) >= topic.partitions)
    if (beyond === undefined) continue
    const expected = `partitions of ${topicName} from 0 to ${topic.partitions - 1}`
    throw invalidOption(name, value, expected, `there is no partition ${beyond}`)
  }
}

function parsedJson(name: string, value: string, expected: string): unknown {
  try {
    return JSON.parse(value) as unknown
  } catch {
    throw invalidOption(name, value, expected)
  }
}

function objectOf(name: string, value: unknown, expected: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw invalidOption(name, JSON.stringify(value), expected)
}
