import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { present } from '../common/assert.js'
import { loadCommonJs } from '../common/commonjs.js'
import { FIRST_WORKER_SLOT } from '../common/doorbell.js'
import type { Env } from '../common/env.js'
import { MillraceError } from '../common/errors.js'
import { lazyModule } from '../common/lazy-module.js'
import type { SharedLogMemory } from '../log/shared-memory.js'
import type { Heartbeat } from './heartbeat.js'
import { HEARTBEAT_BYTES, type WorkerStart } from './protocol.js'
import { DEATHS_MAX, RESTART_SPAN_MS, RestartLimit } from './restart-limit.js'
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
  /** `restarts`: the worker is started again; else it has died too often, and the error says so. `culprit`: the run whose function has ended it. */
  readonly onDeath: (slot: number, error: MillraceError, restarts: boolean, culprit?: string) => void
  /** A thread has failed outside of its task. */
  readonly onFault: (cause: unknown) => void
  readonly env: Env
}

interface PiscinaPool {
  run(
    task: WorkerStart,
    options: { filename: string; transferList: MessagePort[]; signal: AbortSignal },
  ): Promise<unknown>
  /** What the threads post: each its slot, once it has loaded. */
  on(event: 'message', listener: (slot: number) => void): unknown
  on(event: 'error', listener: (cause: unknown) => void): unknown
  destroy(): Promise<void>
}

const OTHERS_AFTER_MS = 100
/** How often it is looked whether a function of the user's comes back, while there are any. */
const WATCH_MS = 250
/** Shorter than this nothing is taken for an endless loop. */
const STUCK_MS = 1000

/** With the first query that has user code. */
const heartbeats = lazyModule(import.meta.url, './heartbeat.js', () => import('./heartbeat.js'))
const userErrors = lazyModule(import.meta.url, './user-errors.js', () => import('./user-errors.js'))

interface Watched {
  readonly memory: SharedArrayBuffer
  heartbeat: Heartbeat | undefined
  readonly abort: AbortController
  /** The call that it was in when it was last looked at, and since when. */
  calls: number
  since: number
  /** Why it was ended. */
  stuck: MillraceError | undefined
}

interface Prepared {
  readonly start: WorkerStart
  readonly transferList: MessagePort[]
}

/**
 * The worker threads. Each piscina worker holds one resident task for life, which runs whatever the engine deploys on it, so the
 * pool has exactly as many threads as tasks, and piscina is left to start, watch and replace threads.
 *
 * The first thread is started with the engine, the others once it is up and a query wants them, or a moment has passed: a small query needs
 * only one, and would otherwise wait for all of them to load. Messages to a thread that is still loading wait in its ports.
 *
 * The file goes with the task and not with the pool: piscina starts no other thread where one has failed to load the pool's file, and the
 * tasks that wait for it would never hear why.
 *
 * `atomics: 'disabled'`: piscina's own way to wait would put an idle thread to sleep on a word that nobody of ours rings.
 */
export class WorkerPool {
  #pool: PiscinaPool | undefined
  #opening: Promise<void> | undefined
  #closed = false
  /** A worker has loaded its file, so the others can. */
  #loaded = false
  /** Workers that wait to be started. */
  #others: Prepared[] = []
  #areWanted = false
  #cancelTimer: (() => void) | undefined
  /** Slots of the threads that have not loaded their file, nor died of it. */
  readonly #loading = new Set<number>()
  #onLoaded: (() => void) | undefined
  readonly #limit = new RestartLimit()
  #slots: readonly number[]
  #givenUp: MillraceError | undefined
  readonly #watched = new Map<number, Watched>()
  #cancelWatch: (() => void) | undefined

  constructor(private readonly options: WorkerPoolOptions) {
    this.#slots = Array.from({ length: options.workers }, (_, i) => FIRST_WORKER_SLOT + i)
  }

  /** Of the workers that run or are being started; one that has died too often is none of them. */
  get slots(): readonly number[] {
    return this.#slots
  }

  /** Resolves when every worker can be sent messages; rejects where none can be kept alive. */
  async open(): Promise<void> {
    this.#opening ??= this.#open()
    await this.#opening
    if (this.#slots.length === 0 && this.#givenUp !== undefined) throw this.#givenUp
  }

  /** A query is about to run on more than the first: the others are started now, and not when nothing else has come up. */
  startAll(): void {
    this.#areWanted = true
    if (!this.#loaded || this.#closed) return
    this.#cancelTimer?.()
    for (const other of this.#others.splice(0)) this.#run(other)
  }

  /** User code runs on the workers: one that does not come back from it is ended, and started again. */
  watch(): void {
    if (this.#cancelWatch !== undefined || this.#closed) return
    const { env } = this.options
    const look = (): void => {
      const now = env.monotonic()
      for (const watched of this.#watched.values()) this.#look(watched, now)
      this.#cancelWatch = env.timer(WATCH_MS, look)
    }
    this.#cancelWatch = env.timer(WATCH_MS, look)
  }

  #look(watched: Watched, now: number): void {
    const { abort } = watched
    watched.heartbeat ??= new (heartbeats().Heartbeat)(watched.memory)
    const { heartbeat } = watched
    const inside = heartbeat.inside
    if (inside === undefined || inside.calls !== watched.calls) {
      watched.calls = inside?.calls ?? -1
      watched.since = now
    } else if (now - watched.since >= Math.max(STUCK_MS, inside.timeoutMs) && watched.stuck === undefined) {
      watched.stuck = userErrors().userCodeStuck(heartbeat, inside.timeoutMs)
      abort.abort()
    }
  }

  /** Something was committed: what the workers have died of is over. */
  hasProgressed(): void {
    this.#limit.forget()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#cancelTimer?.()
    this.#cancelWatch?.()
    for (const { transferList } of this.#others) for (const port of transferList) port.close()
    if (this.#opening === undefined) return
    await this.#opening
    // Node aborts the whole process where a thread is ended while it loads what was required.
    while (this.#loading.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onLoaded = resolve
      })
    }
    await this.#pool?.destroy()
  }

  async #open(): Promise<void> {
    const { Piscina } = loadCommonJs('piscina') as { readonly Piscina: new (options: object) => PiscinaPool }
    const { workers } = this.options
    const pool: PiscinaPool = new Piscina({
      minThreads: 1,
      maxThreads: workers,
      idleTimeout: Number.POSITIVE_INFINITY,
      concurrentTasksPerWorker: 1,
      atomics: 'disabled',
      recordTiming: false,
      ...threadArguments(),
    })
    this.#pool = pool
    pool.on('error', (cause) => {
      if (!this.#closed) this.options.onFault(cause)
    })
    const [first, ...others] = this.slots.map((slot) => this.#prepare(slot))
    this.#others = others
    pool.on('message', (slot) => {
      this.#hasLoaded(slot)
      if (this.#loaded) return
      this.#loaded = true
      if (this.#areWanted) this.startAll()
      else this.#cancelTimer = this.options.env.timer(OTHERS_AFTER_MS, () => this.startAll())
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
    const memory = new SharedArrayBuffer(HEARTBEAT_BYTES)
    const abort = new AbortController()
    this.#watched.set(slot, { memory, heartbeat: undefined, abort, calls: -1, since: 0, stuck: undefined })
    return {
      start: {
        slot,
        heartbeat: memory,
        log: this.options.log,
        control: control.port2,
        memory: [engineMemory.port2, hostMemory.port2],
      },
      transferList: [control.port2, engineMemory.port2, hostMemory.port2],
    }
  }

  #run({ start, transferList }: Prepared): void {
    const { slot } = start
    this.#loading.add(slot)
    this.#pool
      ?.run(start, {
        filename: this.options.file,
        transferList,
        signal: present(this.#watched.get(slot), 'a worker').abort.signal,
      })
      .then(
        () => this.#hasLoaded(slot),
        (cause: unknown) => {
          this.#hasLoaded(slot)
          if (!this.#closed) this.#died(slot, cause)
        },
      )
  }

  #hasLoaded(slot: number): void {
    this.#loading.delete(slot)
    this.#onLoaded?.()
  }

  /** The query whose function has ended the worker, where that is known. */
  #culprit(slot: number, cause: unknown): { readonly error: MillraceError; readonly run: string } | undefined {
    const watched = this.#watched.get(slot)
    if (watched?.heartbeat === undefined) return undefined
    const { heartbeat, stuck } = watched
    if (stuck !== undefined) return { error: stuck, run: heartbeat.atHand.run }
    const isOutOfMemory = (cause as { code?: unknown } | undefined)?.code === 'ERR_WORKER_OUT_OF_MEMORY'
    if (!isOutOfMemory || heartbeat.inside === undefined) return undefined
    return { error: userErrors().userCodeTooLarge(heartbeat), run: heartbeat.atHand.run }
  }

  #died(slot: number, cause: unknown): void {
    const { env, onDeath } = this.options
    const worker = slot - FIRST_WORKER_SLOT
    const last = cause instanceof Error ? cause.message : String(cause)
    const culprit = this.#culprit(slot, cause)
    if (culprit !== undefined) {
      // What it died of is known, and ends its query.
      onDeath(slot, culprit.error, true, culprit.run)
      this.#run(this.#prepare(slot))
      return
    }
    if (this.#limit.allows(slot, env.monotonic())) {
      const died = new MillraceError('WORKER_DIED', `worker ${worker} died`, {
        detail: last,
        hint: 'it is started again, and its queries go on from their last committed epoch',
        retriable: true,
        cause,
      })
      onDeath(slot, died, true)
      this.#run(this.#prepare(slot))
      return
    }
    const error = new MillraceError(
      'WORKER_GIVEN_UP',
      `worker ${worker} dies again and again and is not started any more`,
      {
        detail: `it died ${DEATHS_MAX} times within ${RESTART_SPAN_MS / 1000} s, the last time by: ${last}`,
        hint: 'find what ends the thread (a file of the package that is missing, too little memory), then open the engine again',
        cause,
      },
    )
    this.#givenUp = error
    // Where the first has never come to life, the others would fare no better, and have not been started.
    const lost = this.#loaded ? [slot] : this.#slots
    this.#slots = this.#slots.filter((other) => !lost.includes(other))
    for (const one of lost) onDeath(one, error, false)
  }
}
