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
