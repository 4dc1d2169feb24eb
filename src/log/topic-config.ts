import { MillraceError } from '../common/errors.js'
import { nearestName } from '../common/nearest-name.js'
import type { TopicCompression } from '../record/batch-compression.js'
import { assertCanCompress, Codec, type CodecName, defaultLevels } from '../record/codec.js'
import type { TopicRules } from '../record/topic-rules.js'
import { isCompacted } from './compaction-policy.js'
import { BATCH_BYTES_MAX } from './limits.js'
import type { TopicConfig } from './partition-descriptor.js'
import type { RollLimits } from './segment.js'

/** Kafka's settings of a topic, by Kafka's names, with Kafka's defaults. What is not listed is refused, not ignored. */
interface Setting {
  readonly fallback: string | number
  readonly min?: number
  readonly max?: number
  readonly values?: readonly string[]
}

const DAY_MS = 86_400_000
const NO_LIMIT = Number.MAX_SAFE_INTEGER
const INT32_MAX = 0x7fff_ffff

const settings: Readonly<Record<string, Setting>> = {
  'cleanup.policy': {
    fallback: 'delete',
    values: ['delete', 'compact', 'compact,delete', 'delete,compact', '', 'none'],
  },
  'compression.gzip.level': { fallback: defaultLevels.gzip, min: -1, max: 9 },
  'compression.type': { fallback: 'producer', values: ['producer', 'uncompressed', 'gzip', 'snappy', 'lz4', 'zstd'] },
  'compression.zstd.level': { fallback: defaultLevels.zstd, min: -131_072, max: 22 },
  'delete.retention.ms': { fallback: DAY_MS, min: 0, max: NO_LIMIT },
  'errors.deadletterqueue.group.enable': { fallback: 'false', values: ['false', 'true'] },
  'file.delete.delay.ms': { fallback: 60_000, min: 0, max: NO_LIMIT },
  'index.interval.bytes': { fallback: 4096, min: 0, max: INT32_MAX },
  'max.compaction.lag.ms': { fallback: NO_LIMIT, min: 1, max: NO_LIMIT },
  'max.message.bytes': { fallback: 1_048_588, min: 0, max: BATCH_BYTES_MAX },
  'message.timestamp.after.max.ms': { fallback: 3_600_000, min: 0, max: NO_LIMIT },
  'message.timestamp.before.max.ms': { fallback: NO_LIMIT, min: 0, max: NO_LIMIT },
  'message.timestamp.type': { fallback: 'CreateTime', values: ['CreateTime', 'LogAppendTime'] },
  'min.cleanable.dirty.ratio': { fallback: 0.5, min: 0, max: 1 },
  'min.compaction.lag.ms': { fallback: 0, min: 0, max: NO_LIMIT },
  'retention.bytes': { fallback: -1, min: -1, max: NO_LIMIT },
  'retention.ms': { fallback: 7 * DAY_MS, min: -1, max: NO_LIMIT },
  'segment.bytes': { fallback: 1_073_741_824, min: 1024, max: INT32_MAX },
  'segment.index.bytes': { fallback: 10_485_760, min: 1024, max: INT32_MAX },
  'segment.ms': { fallback: 7 * DAY_MS, min: 1, max: NO_LIMIT },
}

/** What producers must heed of a topic's settings. */
export function topicRules(config: TopicConfig, now: () => number): TopicRules {
  return {
    logAppendTime: config['message.timestamp.type'] === 'LogAppendTime',
    beforeMaxMs: Number(config['message.timestamp.before.max.ms']),
    afterMaxMs: Number(config['message.timestamp.after.max.ms']),
    requiresKey: isCompacted(config),
    now,
  }
}

/** `none`: kept for ever, which Kafka writes as an empty list. */
export function completeTopicConfig(topic: string, given: TopicConfig): TopicConfig {
  const config: Record<string, string | number> = {}
  for (const [name, setting] of Object.entries(settings)) config[name] = setting.fallback
  for (const [name, value] of Object.entries(given)) {
    const setting = Object.hasOwn(settings, name) ? settings[name] : undefined
    if (setting === undefined) {
      const nearest = nearestName(name, Object.keys(settings))
      throw new MillraceError('TOPIC_CONFIG_INVALID', `topic ${topic} has no setting '${name}'`, {
        detail: `settings are ${Object.keys(settings).join(', ')}`,
        hint: nearest === undefined ? "settings have Kafka's names" : `did you mean '${nearest}'?`,
      })
    }
    config[name] = checked(topic, name, setting, value)
  }
  return Object.freeze(config)
}

export function rollLimits(config: TopicConfig): RollLimits {
  return {
    segmentBytes: Number(config['segment.bytes']),
    segmentMs: Number(config['segment.ms']),
    indexIntervalBytes: Number(config['index.interval.bytes']),
    segmentIndexBytes: Number(config['segment.index.bytes']),
    compression: topicCompression(config),
  }
}

/** What the engine does with batches on their way to the disk. */
export function topicCompression(config: TopicConfig): TopicCompression {
  const type = config['compression.type']
  const levels = { gzip: Number(config['compression.gzip.level']), zstd: Number(config['compression.zstd.level']) }
  if (type === 'producer') return { codec: 'producer', levels }
  return { codec: type === 'uncompressed' ? Codec.none : Codec[type as CodecName], levels }
}

/** Throws where this Node cannot write what the topic asks for. A topic that another Node made is opened all the same, and written plain. */
export function assertCanWrite(topic: string, config: TopicConfig): void {
  const { codec } = topicCompression(config)
  if (codec !== 'producer') assertCanCompress(codec, `topic ${topic}`)
}

function checked(topic: string, name: string, setting: Setting, value: string | number): string | number {
  if (setting.values !== undefined) {
    // Who gives true for 'true' means it.
    const given = typeof value === 'boolean' ? String(value) : value
    const text = typeof given === 'string' ? given.replaceAll(' ', '') : given
    if (typeof text === 'string' && setting.values.includes(text)) return text === 'none' ? '' : text
    throw invalid(topic, name, value, `one of ${setting.values.map((v) => `'${v}'`).join(', ')}`)
  }
  // Kafka's own tools give numbers as text.
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
  const whole = name === 'min.cleanable.dirty.ratio' || Number.isSafeInteger(number)
  if (typeof number === 'number' && whole && number >= (setting.min ?? 0) && number <= (setting.max ?? NO_LIMIT))
    return number
  throw invalid(topic, name, value, `a number from ${setting.min} to ${setting.max}`)
}

function invalid(topic: string, name: string, value: unknown, expected: string): MillraceError {
  return new MillraceError('TOPIC_CONFIG_INVALID', `setting '${name}' of topic ${topic} is ${JSON.stringify(value)}`, {
    detail: `expected ${expected}`,
    hint: "values are those of Kafka's topic settings; leave it out for Kafka's default",
  })
}
