import { Millrace } from 'millrace'

/**
 * Engines in memory that test files of one process use one after the other: what is loaded and compiled is so once. A test takes names of its own for topics
 * and queries, and leaves none of its queries running. They are never closed: with the process their threads end too.
 */
const opened: Map<number, Promise<Millrace>> = (Reflect.get(globalThis, Symbol.for('millrace.test.engines')) ??
  new Map()) as Map<number, Promise<Millrace>>
Reflect.set(globalThis, Symbol.for('millrace.test.engines'), opened)

export function sharedEngine(workers: number): Promise<Millrace> {
  let engine = opened.get(workers)
  if (engine === undefined) {
    engine = Millrace.open({ workers })
    opened.set(workers, engine)
  }
  return engine
}
