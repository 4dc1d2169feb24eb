import { MillraceError } from '../common/errors.js'
import { nearestName } from '../common/nearest-name.js'
import { describe } from '../types/invalid-value.js'

/**
 * What a producer or consumer may be told. What is not known is refused: an option that asks for a promise, such as a
 * transaction, must not be passed over in silence. What only tunes a connection over a network means nothing here and is let through,
 * so that code written for kafkajs runs.
 */

/** Options of kafkajs, and of Kafka's own clients, that have no promise in them. */
const ofTheNetwork = new Set([
  'allowAutoTopicCreation',
  'connections.max.idle.ms',
  'heartbeatInterval',
  'maxBytes',
  'maxBytesPerPartition',
  'max.in.flight.requests.per.connection',
  'maxInFlightRequests',
  'maxWaitTimeInMs',
  'metadata.max.age.ms',
  'metadataMaxAge',
  'minBytes',
  'receive.buffer.bytes',
  'reconnect.backoff.max.ms',
  'reconnect.backoff.ms',
  'request.timeout.ms',
  'retry',
  'retry.backoff.max.ms',
  'retry.backoff.ms',
  'send.buffer.bytes',
  'sessionTimeout',
])

export function checkClientOptions(client: 'producer' | 'consumer', options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new MillraceError('INVALID_ARGUMENT', `the options of a ${client} are ${describe(options)}`, {
      detail: `expected an object with ${known.join(', ')}`,
      hint: `mill.${client}()`,
    })
  }
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || known.includes(name) || ofTheNetwork.has(name)) continue
    const nearest = nearestName(name, known)
    throw new MillraceError('UNKNOWN_OPTION', `a ${client} has no option '${name}'`, {
      detail: `there is ${known.join(', ')}`,
      hint: nearest === undefined ? 'leave it out' : `did you mean '${nearest}'?`,
    })
  }
}
