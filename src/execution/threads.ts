import type { MessagePort } from 'node:worker_threads'
import { builtFile } from '../common/built-file.js'
import { FIRST_WORKER_SLOT } from '../common/doorbell.js'
import { nodeEnv } from '../common/env.js'
import { errorFields } from '../common/errors.js'
import type { LogEntry } from '../common/logger.js'
import { WorkerPool } from '../worker/pool.js'
import { EngineThread, type EngineThreadOptions } from './engine-thread.js'

export interface ThreadsOptions extends EngineThreadOptions {
  readonly workers: number
}

/**
 * All threads of a session. The workers come when the engine thread is up or a query wants them: three threads that load at a time, the host among
 * them, would be in each other's way on two cores, and small queries need none (local-run.ts).
 */
export class Threads {
  readonly engine: EngineThread
  readonly pool: WorkerPool
  readonly #memoryPorts: MessagePort[] = []
  #attach: ((port: MessagePort) => void) | undefined
  readonly #early: LogEntry[] = []
  #log: ((entry: LogEntry) => void) | undefined

  constructor(options: ThreadsOptions) {
    this.engine = new EngineThread(options)
    this.pool = new WorkerPool({
      workers: options.workers,
      file: builtFile(import.meta.url, '../worker/entry.js'),
      log: this.engine.shared,
      onStart: ({ slot, control, engineMemory, hostMemory }) => {
        hostMemory.unref()
        if (this.#attach === undefined) this.#memoryPorts.push(hostMemory)
        else this.#attach(hostMemory)
        this.engine.post({ type: 'worker', slot, control, memory: engineMemory }, [control, engineMemory])
      },
      env: nodeEnv,
      onDeath: (slot, error, restarts, culprit) => {
        this.engine.post({ type: 'workerDied', slot, error: error.toShape(), restarts, culprit })
        this.#say({
          level: 'error',
          message: restarts ? 'a worker died and is started again' : 'a worker is not started any more',
          fields: { worker: slot - FIRST_WORKER_SLOT, ...errorFields(error) },
        })
      },
      onFault: (cause) =>
        this.#say({
          level: 'error',
          message: 'a worker thread failed outside of its task',
          fields: errorFields(cause),
        }),
    })
  }

  /** Starts the workers, if they are not; a failure shows where it matters: when a query is started. */
  startWorkers(): void {
    this.pool.open().catch(() => undefined)
  }

  /** Who hears of what happens to the threads, what already has happened included. */
  logTo(log: (entry: LogEntry) => void): void {
    this.#log = log
    for (const entry of this.#early.splice(0)) log(entry)
  }

  #say(entry: LogEntry): void {
    if (this.#log === undefined) this.#early.push(entry)
    else this.#log(entry)
  }

  /** Gives the host's table of chunks its ports to the workers, those to come among them. */
  attachHost(attach: (port: MessagePort) => void): void {
    this.#attach = attach
    for (const port of this.#memoryPorts.splice(0)) attach(port)
  }
}
