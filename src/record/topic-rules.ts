import { MillraceError } from '../common/errors.js'

/** What a topic's settings ask of every record that is sent to it, whoever sends it. */
export interface TopicRules {
  /** `message.timestamp.type` is LogAppendTime: whatever time a record says, it gets that of its append. */
  readonly logAppendTime: boolean
  /** `message.timestamp.before.max.ms` and `after.max.ms`: how far a record's time may lie from now. */
  readonly beforeMaxMs: number
  readonly afterMaxMs: number
  /** The topic is compacted, and a record without a key could never be found again. */
  readonly requiresKey: boolean
  readonly now: () => number
}

export function checkTimestamp(rules: TopicRules, index: number, timestamp: number, nowMs: number): void {
  const isEarly = nowMs - timestamp > rules.beforeMaxMs
  if (!isEarly && timestamp - nowMs <= rules.afterMaxMs) return
  const setting = isEarly ? 'message.timestamp.before.max.ms' : 'message.timestamp.after.max.ms'
  const limitMs = isEarly ? rules.beforeMaxMs : rules.afterMaxMs
  throw new MillraceError(
    'INVALID_TIMESTAMP',
    `messages[${index}].timestamp is too far in the ${isEarly ? 'past' : 'future'}`,
    {
      detail: `found ${timestamp}, which is ${Math.abs(nowMs - timestamp)} ms ${isEarly ? 'before' : 'after'} now; '${setting}' allows ${limitMs}`,
      hint: `send another timestamp or none, or alter '${setting}' of the topic`,
    },
  )
}

export function keyMissing(index: number): MillraceError {
  return new MillraceError('INVALID_RECORD', `messages[${index}] has no key`, {
    detail: 'the topic is compacted: of each key the last record is kept, and what has no key would be lost',
    hint: 'give it a key',
  })
}
