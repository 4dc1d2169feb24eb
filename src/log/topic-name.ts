import { MillraceError } from '../common/errors.js'
import { nearestName } from '../common/nearest-name.js'
import { TOPIC_NAME_LENGTH_MAX } from './limits.js'

/** What a topic may be called, and what is said of a name that no topic has. */

const NAME = /^[a-zA-Z0-9._-]+$/
const DEVICE_NAME = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)/i

/** Kafka's rule, and what file systems add to it. */
export function assertTopicName(name: unknown): asserts name is string {
  const fault = topicNameFault(name)
  if (fault !== undefined) throw nameInvalid(name, fault)
}

function nameInvalid(name: unknown, fault: string): MillraceError {
  const shown = typeof name === 'string' && name.length > 60 ? `${name.slice(0, 60)}…` : name
  return new MillraceError(
    'TOPIC_NAME_INVALID',
    `${JSON.stringify(shown) ?? String(shown)} cannot be the name of a topic`,
    {
      detail: fault,
      hint: `use 1 to ${TOPIC_NAME_LENGTH_MAX} letters, digits, '.', '_' and '-'`,
    },
  )
}

function topicNameFault(name: unknown): string | undefined {
  if (typeof name !== 'string') return `found ${typeof name}, expected a string`
  if (name.length === 0) return 'it is empty'
  if (name.length > TOPIC_NAME_LENGTH_MAX)
    return `it has ${name.length} characters, at most ${TOPIC_NAME_LENGTH_MAX} are allowed`
  if (name === '.' || name === '..') return 'it names a directory of every file system'
  const odd = [...name].find((c) => !NAME.test(c))
  if (odd !== undefined) return `it holds ${JSON.stringify(odd)}`
  if (DEVICE_NAME.test(name)) return 'it names a device on Windows, so the directory could not be moved there'
  if (name.endsWith('.')) return 'it ends in a dot, which Windows drops'
  return undefined
}

export function unknownTopic(name: string, known: readonly string[]): MillraceError {
  if (typeof name !== 'string') return nameInvalid(name, topicNameFault(name) ?? '')
  const nearest = nearestName(name, known)
  const shown = [...known].sort().slice(0, 20)
  const more = known.length > shown.length ? `, and ${known.length - shown.length} more` : ''
  return new MillraceError('UNKNOWN_TOPIC', `there is no topic ${JSON.stringify(name)}`, {
    detail: known.length === 0 ? 'there are no topics yet' : `topics are ${shown.join(', ')}${more}`,
    hint: nearest === undefined ? 'create it with mill.topics.create' : `did you mean '${nearest}'?`,
  })
}
