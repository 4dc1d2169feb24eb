import { parentPort } from 'node:worker_threads'
import { nodeEnv } from '../common/env.js'
import { modulesLoaded } from '../common/lazy-module.js'
import type { WorkerStart } from './protocol.js'
import { Worker } from './worker.js'

/** The resident piscina task of a worker thread: returns when the worker was told to shut down. */
export default async function run(start: WorkerStart): Promise<void> {
  // For a module of the user's that opens an engine where it is loaded, perhaps of another copy of this package: see Millrace.open.
  Reflect.set(globalThis, Symbol.for('millrace.worker'), true)
  await modulesLoaded()
  const worker = new Worker(nodeEnv, start)
  // Loaded: the pool starts the next one.
  parentPort?.postMessage(start.slot)
  await worker.run()
}
