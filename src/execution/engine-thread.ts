import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { builtFile } from '../common/built-file.js'
import type { FsyncMode } from '../log/log-writer.js'
import { createSharedLogMemory, type SharedLogMemory } from '../log/shared-memory.js'
import { threadArguments } from '../worker/thread-arguments.js'
import type { EngineStart, FromEngine, ToEngine } from './engine-protocol.js'

export interface EngineThreadOptions {
  readonly dir?: string | undefined
  readonly fsync: FsyncMode
  readonly memoryBudget: number
  /** For `fsync: 'interval'`. Default 1000. */
  readonly syncIntervalMs?: number | undefined
  /** After so long without use a transactional id is forgotten. Default seven days. */
  readonly transactionalIdExpirationMs?: number | undefined
  /** After so long without a record a partition forgets a producer id. Default one day. */
  readonly producerIdExpirationMs?: number | undefined
}

/**
 * The engine thread as its host holds it. It imports little, so that the thread can be started first and boots while the
 * host loads what it needs itself; what the thread says before anybody listens is kept.
 */
export class EngineThread {
  readonly shared: SharedLogMemory
  /** For the host's table of chunks. */
  readonly memoryPort: MessagePort
  readonly #worker: Worker
  readonly #early: FromEngine[] = []
  #listener: ((message: FromEngine) => void) | undefined
  #onDeath: ((cause: Error) => void) | undefined
  #death: Error | undefined

  constructor(options: EngineThreadOptions) {
    this.shared = createSharedLogMemory(options.memoryBudget)
    const memory = new MessageChannel()
    this.memoryPort = memory.port1
    const start: EngineStart = {
      log: this.shared,
      memoryPort: memory.port2,
      dir: options.dir,
      spillDirectory: join(tmpdir(), `millrace-${randomUUID()}`),
      fsync: options.fsync,
      syncIntervalMs: options.syncIntervalMs ?? 1000,
      transactionalIdExpirationMs: options.transactionalIdExpirationMs,
      producerIdExpirationMs: options.producerIdExpirationMs,
    }
    this.#worker = new Worker(builtFile(import.meta.url, './engine-main.js'), {
      workerData: start,
      transferList: [memory.port2],
      ...threadArguments(),
    })
    this.#worker.on('message', (message: FromEngine) => {
      if (this.#listener === undefined) this.#early.push(message)
      else this.#listener(message)
    })
    this.#worker.on('error', (error) => this.#die(error))
    this.#worker.on('exit', (code) => this.#die(new Error(`engine thread ended with exit code ${code}`)))
  }

  listen(onMessage: (message: FromEngine) => void, onDeath: (cause: Error) => void): void {
    this.#listener = onMessage
    this.#onDeath = onDeath
    for (const message of this.#early.splice(0)) onMessage(message)
    if (this.#death !== undefined) onDeath(this.#death)
  }

  post(message: ToEngine, transfer: readonly MessagePort[] = []): void {
    this.#worker.postMessage(message, transfer)
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate()
  }

  #die(cause: Error): void {
    this.#death ??= cause
    this.#onDeath?.(cause)
  }
}
