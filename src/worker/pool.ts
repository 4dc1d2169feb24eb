import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { FIRST_WORKER_SLOT } from '../common/doorbell.js'
import { MillraceError } from '../common/errors.js'
import type { SharedLogMemory } from '../log/shared-memory.js'
import type { WorkerStart } from './protocol.js'
import { threadArguments } from './thread-arguments.js'

/** The ends of a worker's ports that stay with the threads it talks to. */
export interface WorkerPorts {
  readonly slot: number
  /** For the engine. */
  readonly control: MessagePort
  readonly engineMemory: MessagePort
  /** For the host. */
  readonly hostMemory: MessagePort
}

export interface WorkerPoolOptions {
  readonly workers: number
  /** File of worker/entry. */
  readonly file: string
  readonly log: SharedLogMemory
  readonly onStart: (ports: WorkerPorts) => void
  readonly onDeath: (slot: number, error: MillraceError) => void
}

interface PiscinaPool {
  run(task: WorkerStart, options: { transferList: MessagePort[] }): Promise<unknown>
  once(event: 'message', listener: () => void): unknown
  destroy(): Promise<void>
}

interface Prepared {
  readonly start: WorkerStart
  readonly transferList: MessagePort[]
}

/**
 * The worker threads. Each piscina worker holds one resident task for life, which runs whatever the engine deploys on it, so the
 * pool has exactly as many threads as tasks, and piscina is left to start, watch and replace threads.
 *
 * The first thread is started with the engine, the others once it is up: a small query needs only one, and would otherwise wait
 * for all of them to load. Messages to a thread that is still loading wait in its ports.
 *
 * `atomics: 'disabled'`: piscina's own way to wait would put an idle thread to sleep on a word that nobody of ours rings.
 */
export class WorkerPool {
  #pool: PiscinaPool | undefined
  #opening: Promise<void> | undefined
  #closed = false

  constructor(private readonly options: WorkerPoolOptions) {}

  get slots(): readonly number[] {
    return Array.from({ length: this.options.workers }, (_, i) => FIRST_WORKER_SLOT + i)
  }

  /** Resolves when every worker can be sent messages. */
  open(): Promise<void> {
    this.#opening ??= this.#open()
    return this.#opening
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#opening === undefined) return
    await this.#opening
    await this.#pool?.destroy()
  }

  async #open(): Promise<void> {
    const { Piscina } = await import('piscina')
    const { workers, file } = this.options
    const pool: PiscinaPool = new Piscina({
      filename: file,
      minThreads: 1,
      maxThreads: workers,
      idleTimeout: Number.POSITIVE_INFINITY,
      concurrentTasksPerWorker: 1,
      atomics: 'disabled',
      recordTiming: false,
      ...threadArguments(),
    })
    this.#pool = pool
    const [first, ...others] = this.slots.map((slot) => this.#prepare(slot))
    pool.once('message', () => {
      if (!this.#closed) for (const other of others) this.#run(other)
    })
    this.#run(first as Prepared)
  }

  #prepare(slot: number): Prepared {
    const control = new MessageChannel()
    const engineMemory = new MessageChannel()
    const hostMemory = new MessageChannel()
    this.options.onStart({
      slot,
      control: control.port1,
      engineMemory: engineMemory.port1,
      hostMemory: hostMemory.port1,
    })
    return {
      start: { slot, log: this.options.log, control: control.port2, memory: [engineMemory.port2, hostMemory.port2] },
      transferList: [control.port2, engineMemory.port2, hostMemory.port2],
    }
  }

  #run({ start, transferList }: Prepared): void {
    const { slot } = start
    this.#pool?.run(start, { transferList }).catch((cause: unknown) => {
      if (this.#closed) return
      this.options.onDeath(
        slot,
        new MillraceError('WORKER_DIED', `worker ${slot - FIRST_WORKER_SLOT} died`, {
          detail: cause instanceof Error ? cause.message : String(cause),
          hint: 'its queries have failed; start them again to go on from their last checkpoint',
          retriable: true,
          cause,
        }),
      )
      this.#run(this.#prepare(slot))
    })
  }
}
