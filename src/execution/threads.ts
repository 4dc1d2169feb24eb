import type { MessagePort } from 'node:worker_threads'
import { WorkerPool } from '../worker/pool.js'
import { EngineThread, type EngineThreadOptions } from './engine-thread.js'
import { threadFile } from './thread-file.js'

export interface ThreadsOptions extends EngineThreadOptions {
  readonly workers: number
}

/** All threads of a session, started before the host has loaded what it needs itself: the three load side by side. */
export class Threads {
  readonly engine: EngineThread
  readonly pool: WorkerPool
  readonly #memoryPorts: MessagePort[] = []
  #attach: ((port: MessagePort) => void) | undefined

  constructor(options: ThreadsOptions) {
    this.engine = new EngineThread(options)
    this.pool = new WorkerPool({
      workers: options.workers,
      file: threadFile(import.meta.url, '../worker/entry.js'),
      log: this.engine.shared,
      onStart: ({ slot, control, engineMemory, hostMemory }) => {
        hostMemory.unref()
        if (this.#attach === undefined) this.#memoryPorts.push(hostMemory)
        else this.#attach(hostMemory)
        this.engine.post({ type: 'worker', slot, control, memory: engineMemory }, [control, engineMemory])
      },
      onDeath: (slot, error) => this.engine.post({ type: 'workerDied', slot, error: error.toShape() }),
    })
    // A failure shows where it matters: when a query is started.
    this.pool.open().catch(() => undefined)
  }

  /** Gives the host's table of chunks its ports to the workers, those to come among them. */
  attachHost(attach: (port: MessagePort) => void): void {
    this.#attach = attach
    for (const port of this.#memoryPorts.splice(0)) attach(port)
  }
}
