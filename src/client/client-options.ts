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
  'fetch.max.bytes',
  'fetch.max.wait.ms',
  'fetch.min.bytes',
  'heartbeat.interval.ms',
  'heartbeatInterval',
  'maxBytes',
  'maxBytesPerPartition',
  'max.in.flight.requests.per.connection',
  'maxInFlightRequests',
  'max.partition.fetch.bytes',
  'max.poll.interval.ms',
  'max.poll.records',
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
  'session.timeout.ms',
  'sessionTimeout',
])

export function checkClientOptions(
  client: 'producer' | 'consumer' | 'shareConsumer',
  options: unknown,
  known: readonly string[],
): void {
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

/** The options by our names: where one was given by Kafka's name it counts, and two that differ are refused. `aliases`: Kafka's name after ours. */
export function byOurNames(
  client: 'producer' | 'consumer' | 'shareConsumer',
  options: object,
  aliases: Readonly<Record<string, string>>,
): Readonly<Record<string, unknown>> {
  const given: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(options)) if (value !== undefined) given[name] = value
  for (const [ours, kafkas] of Object.entries(aliases)) {
    const value = given[kafkas]
    if (value === undefined) continue
    if (given[ours] === undefined) given[ours] = value
    else if (given[ours] !== value) {
      throw new MillraceError('INVALID_ARGUMENT', `${kafkas} of a ${client} is not valid`, {
        detail: `found ${describe(value)}, expected the same as ${ours}, which is ${describe(given[ours])}`,
        hint: `mill.${client}({ '${kafkas}': … })`,
      })
    }
  }
  return given
}
