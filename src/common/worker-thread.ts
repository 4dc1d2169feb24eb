/**
 * Whether this thread is one of an engine's workers. A module of the user's that a worker loads may be the program itself, which would open an engine on every
 * worker, and those engines theirs. On the global object, since that module may have another copy of this package.
 */
const mark = Symbol.for('millrace.worker')

export function markWorkerThread(): void {
  Reflect.set(globalThis, mark, true)
}

export function isWorkerThread(): boolean {
  return Reflect.get(globalThis, mark) === true
}
