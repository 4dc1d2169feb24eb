/** A broken assertion is a bug of ours, never the world's fault: bad input throws a MillraceError instead. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`)
}

/** For the end of an exhaustive switch. */
export function unreachable(value: never): never {
  throw new Error(`assertion failed: no case for ${JSON.stringify(value)}`)
}

/** `noUncheckedIndexedAccess` for reads whose index is known to be good. */
export function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`assertion failed: ${what} is missing`)
  return value
}
