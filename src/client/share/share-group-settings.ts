import { MillraceError } from '../../common/errors.js'
import { nearestName } from '../../common/nearest-name.js'
import type { IsolationLevel } from '../../log/partition-reader.js'
import { describe } from '../../types/invalid-value.js'
import { type OffsetReset, parseOffsetReset } from '../offset-reset.js'
import type { StoredSettings } from './share-state-record.js'

/** Settings of a share group by Kafka's names: texts, numbers, true and false. null: the default again. */
export type ShareGroupConfig = Readonly<Record<string, string | number | boolean | null>>

interface Setting {
  readonly fallback: string | number | boolean
  readonly min?: number
  readonly max?: number
  readonly values?: readonly string[]
}

const LOCK = 'share.record.lock.duration.ms'
const LIMIT = 'share.delivery.count.limit'
const LOCKS = 'share.partition.max.record.locks'
const RESET = 'share.auto.offset.reset'
const ISOLATION = 'share.isolation.level'
const RENEW = 'share.renew.acknowledge.enable'
export const DLQ_TOPIC = 'errors.deadletterqueue.topic.name'
const DLQ_COPY = 'errors.deadletterqueue.copy.record.enable'

/**
 * With Kafka's defaults. The limits are the widest that Kafka's brokers can be told to allow a group (`group.share.min.…` and `group.share.max.…`), since there is
 * no second level of settings here.
 */
const settings: Readonly<Record<string, Setting>> = {
  [DLQ_COPY]: { fallback: false },
  [DLQ_TOPIC]: { fallback: '' },
  [RESET]: { fallback: 'latest' },
  [LIMIT]: { fallback: 5, min: 2, max: 25 },
  [ISOLATION]: { fallback: 'read_uncommitted', values: ['read_committed', 'read_uncommitted'] },
  [LOCKS]: { fallback: 2000, min: 100, max: 10_000 },
  [LOCK]: { fallback: 30_000, min: 1000, max: 3_600_000 },
  [RENEW]: { fallback: true },
}

/** Settings of Kafka's that tune how members are heard of over a network. */
const ofTheNetwork: ReadonlySet<string> = new Set([
  'share.assignment.interval.ms',
  'share.assignor.offload.enable',
  'share.heartbeat.interval.ms',
  'share.session.timeout.ms',
])

/** The settings of one group, as the group uses them. */
export interface ShareGroupSettings {
  readonly lockMs: number
  readonly deliveryLimit: number
  /** Offsets of a partition from the first that is not done with to the last that was handed out. */
  readonly inFlightMax: number
  readonly reset: OffsetReset
  readonly isolation: IsolationLevel
  readonly canRenew: boolean
  /** Undefined: what is rejected is archived. */
  readonly deadLetterTopic: string | undefined
  readonly copiesRecord: boolean
}

export function settingsOf(stored: StoredSettings): ShareGroupSettings {
  const value = (name: string): string => stored[name] ?? String((settings[name] as Setting).fallback)
  const topic = value(DLQ_TOPIC)
  return {
    lockMs: Number(value(LOCK)),
    deliveryLimit: Number(value(LIMIT)),
    inFlightMax: Number(value(LOCKS)),
    reset: parseOffsetReset(value(RESET)),
    isolation: value(ISOLATION) === 'read_committed' ? 'read_committed' : 'read_uncommitted',
    canRenew: value(RENEW) === 'true',
    deadLetterTopic: topic === '' ? undefined : topic,
    copiesRecord: value(DLQ_COPY) === 'true',
  }
}

/** All settings, those at their defaults too. */
export function completeSettings(stored: StoredSettings): Record<string, string | number | boolean> {
  const complete: Record<string, string | number | boolean> = {}
  for (const [name, { fallback }] of Object.entries(settings)) {
    const own = stored[name]
    if (own === undefined) complete[name] = fallback
    else if (typeof fallback === 'number') complete[name] = Number(own)
    else complete[name] = typeof fallback === 'boolean' ? own === 'true' : own
  }
  return complete
}

/** `before` with the changes; throws where one is not possible. */
export function changedSettings(group: string, before: StoredSettings, change: unknown): StoredSettings {
  const after: Record<string, string> = { ...before }
  for (const [name, value] of Object.entries(changesOf(group, change))) {
    if (value === undefined) continue
    const setting = Object.hasOwn(settings, name) ? settings[name] : undefined
    if (setting === undefined) throw unknownSetting(group, name)
    if (value === null) {
      delete after[name]
      continue
    }
    const checked = checkedValue(group, name, setting, value)
    if (checked === String(setting.fallback)) delete after[name]
    else after[name] = checked
  }
  return after
}

/** `{ config: { … } }`, as topics take it, or the settings alone, whose names all have a dot. */
function changesOf(group: string, change: unknown): Record<string, unknown> {
  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
  const config =
    isObject(change) && isObject(change['config']) && Object.keys(change).length === 1 ? change['config'] : change
  if (isObject(config)) return config
  throw new MillraceError('INVALID_ARGUMENT', `the change of group ${group} is ${describe(change)}`, {
    detail: "expected an object with Kafka's settings",
    hint: `mill.groups.alter('${group}', { '${LOCK}': 60000 })`,
  })
}

function checkedValue(group: string, name: string, setting: Setting, value: unknown): string {
  const { fallback, values, min = 0, max = 0 } = setting
  if (typeof fallback === 'boolean') {
    const text = String(value)
    if (text === 'true' || text === 'false') return text
    throw invalid(group, name, value, 'true or false')
  }
  if (typeof fallback === 'number') {
    // Kafka's own tools give numbers as text.
    const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
    if (typeof number === 'number' && Number.isSafeInteger(number) && number >= min && number <= max)
      return String(number)
    throw invalid(group, name, value, `a whole number from ${min} to ${max}`)
  }
  if (typeof value !== 'string') throw invalid(group, name, value, 'a text')
  if (values !== undefined && !values.includes(value)) {
    throw invalid(group, name, value, values.map((one) => `'${one}'`).join(' or '))
  }
  if (name === RESET && !isShareReset(value)) {
    throw invalid(
      group,
      name,
      value,
      "'earliest', 'latest' or 'by_duration:' and an ISO 8601 duration that is not negative",
    )
  }
  return value
}

/** A share group has nothing else to begin with, so 'none' is not for it. */
function isShareReset(value: string): boolean {
  try {
    return parseOffsetReset(value).kind !== 'none'
  } catch {
    return false
  }
}

function unknownSetting(group: string, name: string): MillraceError {
  const names = Object.keys(settings)
  const nearest = nearestName(name, names)
  return new MillraceError('GROUP_CONFIG_INVALID', `share group ${group} has no setting '${name}'`, {
    detail: `settings are ${names.join(', ')}`,
    hint: ofTheNetwork.has(name)
      ? 'it tunes how Kafka hears of members over a network: here all are in one process, so leave it out'
      : nearest === undefined
        ? "settings have Kafka's names"
        : `did you mean '${nearest}'?`,
  })
}

function invalid(group: string, name: string, value: unknown, expected: string): MillraceError {
  return new MillraceError('GROUP_CONFIG_INVALID', `setting '${name}' of share group ${group} is ${describe(value)}`, {
    detail: `expected ${expected}`,
    hint: "values are those of Kafka's group settings; null gives the default back",
  })
}
