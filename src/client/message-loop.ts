import type { Env } from '../common/env.js'
import type { AssignedPartitions } from './assigned-partitions.js'
import type { TopicPartition } from './assignor.js'
import { nextTurn } from './consumer-run.js'
import { CONSUMER_TURN_MS } from './limits.js'
import type { ConsumerMessage } from './record-decoder.js'

export type IteratedMessage = ConsumerMessage & TopicPartition

/**
 * A consumer's async iterator. A generator that waits for its next value hears of `return()` only when it has one, which may be never; so
 * whoever ends the loop from outside is told first, and the wait ends.
 */
export function endableLoop<T>(
  loop: AsyncGenerator<T, void, undefined>,
  end: () => void,
): AsyncGenerator<T, void, undefined> {
  const iterator: AsyncGenerator<T, void, undefined> = {
    next: () => loop.next(),
    return: (value) => {
      end()
      return loop.return(value)
    },
    throw: (error) => {
      end()
      return loop.throw(error)
    },
    [Symbol.asyncIterator]: () => iterator,
    [Symbol.asyncDispose]: async () => {
      end()
      await loop.return()
    },
  }
  return iterator
}

/** One message after the other; a message is done with when the next one is asked for. */
export async function* oneByOne(options: {
  readonly env: Env
  readonly partitions: AssignedPartitions
  readonly isStopping: () => boolean
  /** So many more are done with. */
  readonly handled: (messages: number) => void
}): AsyncGenerator<IteratedMessage, void, undefined> {
  const { env, partitions, isStopping, handled } = options
  let until = env.monotonic() + CONSUMER_TURN_MS
  for (;;) {
    const fetcher = await partitions.claim(isStopping)
    if (fetcher === undefined) return
    try {
      const fetch = await fetcher.fetch()
      for (let i = 0; i < fetch.messages.length; i++) {
        if (isStopping() || !fetcher.isCurrent(fetch)) break
        const message = fetch.messages[i] as ConsumerMessage
        fetcher.inHand = fetch.offsetAt(i)
        fetcher.position = fetch.offsetAfter(i)
        yield Object.assign(message, { topic: fetcher.topic, partition: fetcher.partition })
        fetcher.inHand = -1
        handled(1)
        if (env.monotonic() > until) {
          await nextTurn()
          until = env.monotonic() + CONSUMER_TURN_MS
        }
      }
    } finally {
      partitions.release(fetcher)
    }
  }
}
