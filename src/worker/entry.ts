import { parentPort } from 'node:worker_threads'
import { nodeEnv } from '../common/env.js'
import { modulesLoaded } from '../common/lazy-module.js'
import { markWorkerThread } from '../common/worker-thread.js'
import type { WorkerStart } from './protocol.js'
import { Worker } from './worker.js'

/** The resident piscina task of a worker thread: returns when the worker was told to shut down. */
export default async function run(start: WorkerStart): Promise<void> {
  markWorkerThread()
  await modulesLoaded()
  const worker = new Worker(nodeEnv, start)
  // Loaded: the pool starts the next one.
  parentPort?.postMessage(start.slot)
  await worker.run()
}
