import { MillraceError } from '../common/errors.js'
import { describe } from '../types/invalid-value.js'

/** The errors by which a query ends that are not of its rows or its functions. */

const named = (query: string): string => (query === '' ? 'a query without a name' : `query ${query}`)

export function topicDeleted(topic: string, query: string): MillraceError {
  return new MillraceError('TOPIC_DELETED', `topic ${topic} of ${named(query)} was deleted`, {
    detail: 'its records are gone; a topic that is created under this name again is another one',
    hint: 'create the topic, make the DataFrame anew, and start the query with a new checkpointLocation',
  })
}

/** What was thrown where nobody expected it, with words around it; an error of the project passes as it is. */
export function queryFailed(query: string, error: unknown): MillraceError {
  if (error instanceof MillraceError && error.code !== 'INTERNAL') return error
  const thrown = error instanceof MillraceError ? error.summary : String(error)
  return new MillraceError('QUERY_FAILED', `${named(query)} failed: ${thrown}`, {
    detail: (error instanceof MillraceError ? error.detail : (error as Error | undefined)?.stack) ?? `found ${thrown}`,
    hint: 'nothing in a query should throw this: please report it; started again, the query goes on from its checkpoint',
    cause: error,
  })
}

/** What a user's callback threw, with words around it. */
export function sinkError(error: unknown): MillraceError {
  if (error instanceof MillraceError) return error
  const cause = error instanceof Error ? error : new Error(String(error))
  // Where it was thrown is for the reader of the message; the whole stack is with the cause.
  const [place] = cause === error ? (cause.stack?.match(/^ {4}at .*$/m) ?? []) : []
  return new MillraceError('SINK_FAILED', `the sink of the query has thrown: ${cause.message}`, {
    detail: `found ${cause === error ? cause.name : `a thrown ${describe(error)}`}${place === undefined ? '' : ` ${place.trim()}`}, expected a return`,
    hint: 'the epoch is not delivered: mend the function and start the query again, it goes on from its checkpoint',
    cause,
  })
}
