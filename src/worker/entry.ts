import { nodeEnv } from '../common/env.js'
import type { WorkerStart } from './protocol.js'
import { Worker } from './worker.js'

/** The resident piscina task of a worker thread: returns when the worker was told to shut down. */
export default function run(start: WorkerStart): void {
  new Worker(nodeEnv, start).run()
}
