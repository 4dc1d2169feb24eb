import { randomUUID } from 'node:crypto'
import type { MessagePort } from 'node:worker_threads'
import type { Consumer } from '../client/consumer.js'
import type { ConsumerOptions } from '../client/consumer-options.js'
import type { Groups } from '../client/groups.js'
import { HostLog } from '../client/host-log.js'
import type { LogClients } from '../client/log-clients.js'
import type { Producer, ProducerOptions } from '../client/producer.js'
import type { ShareConsumer } from '../client/share/share-consumer.js'
import type { ShareConsumerOptions } from '../client/share/share-consumer-options.js'
import { HOST_SLOT } from '../common/doorbell.js'
import { nodeEnv } from '../common/env.js'
import { engineClosed, errorFields, fromErrorShape, MillraceError, toErrorShape } from '../common/errors.js'
import { lazyModule } from '../common/lazy-module.js'
import { type LogEntry, type Logger, silentLogger } from '../common/logger.js'
import type { BlockDescriptor } from '../connector/inputs.js'
import type { FailurePolicy } from '../dead-letter/failure-policy.js'
import type { VerifyReport } from '../log/log-verify.js'
import type { FsyncMode } from '../log/log-writer.js'
import { LogMemory } from '../log/shared-memory.js'
import { callsUserCode } from '../plan/physical-plan.js'
import { viewsOf } from '../types/block.js'
import type { FromEngine, QueryMode, RequestName, Requests, ToEngine } from './engine-protocol.js'
import { type HostSink, HostSinkFeed, type SinkFailed } from './host-sink.js'
import { CLOSE_TIMEOUT_MS, WORKERS_LINGER_MS } from './limits.js'
import { sinkError } from './query-errors.js'
import { QueryHandle } from './query-handle.js'
import { type QuerySpec, runsOnOneWorker, sinkStart, topicsOf } from './query-spec.js'
import { SessionTopics } from './session-topics.js'
import { SessionTransactions } from './session-transactions.js'
import { Threads } from './threads.js'

export type { HostSink } from './host-sink.js'
export type { QuerySpec } from './query-spec.js'

export interface SessionOptions {
  readonly dir?: string | undefined
  readonly workers: number
  readonly fsync: FsyncMode
  readonly memoryBudget: number
  /** For `fsync: 'interval'`. Default 1000. */
  readonly syncIntervalMs?: number
  /** See {@link EngineThreadOptions}. */
  readonly transactionalIdExpirationMs?: number | undefined
  readonly producerIdExpirationMs?: number | undefined
  /** After so long the offsets of a group without members are forgotten. Default OFFSETS_RETENTION_MS of client/limits.ts. */
  readonly offsetsRetentionMs?: number | undefined
  /** How long `close` waits for the queries to end at an epoch. Default {@link CLOSE_TIMEOUT_MS}. */
  readonly closeTimeoutMs?: number
  /** Default: silent. */
  readonly logger?: Logger
}

interface HostedQuery {
  /** For the logger. */
  readonly fields: { readonly query: string; readonly id: string; readonly mode: QueryMode['kind'] }
  readonly handle: QueryHandle
  readonly sink: HostSink | undefined
  feed: HostSinkFeed | undefined
  /** Of the run that it is attached to. */
  attempt: number
}

interface Waiting {
  resolve(result: unknown): void
  reject(error: unknown): void
}

type AttachSink = FromEngine & { readonly type: 'attachSink' }

const logClients = lazyModule(import.meta.url, '../client/log-clients.js', () => import('../client/log-clients.js'))

/** The host's side of the threads: starts them, speaks with the engine, brings rows to the sinks that live here. */
export class EngineSession {
  /** Topics, and what makes producers and consumers. */
  readonly log: {
    readonly topics: SessionTopics
    readonly groups: Groups
    readonly transactions: SessionTransactions
    producer(options?: ProducerOptions): Producer
    consumer(options?: ConsumerOptions): Consumer
    shareConsumer(options: ShareConsumerOptions): ShareConsumer
  }
  readonly #memory: LogMemory
  readonly #hostLog: HostLog
  #clients: LogClients | undefined
  readonly #listening: { close(): void }
  readonly #waiting = new Map<number, Waiting>()
  readonly #queries = new Map<string, HostedQuery>()
  readonly #logger: Logger
  readonly #closeTimeoutMs: number
  #nextRequest = 1
  #cancelStart: (() => void) | undefined
  #ready!: Waiting
  #closing: Promise<void> | undefined
  /** Why nothing can be asked any more. */
  #dead: MillraceError | undefined

  /**
   * Resolves when the log is recovered and open. In memory there is nothing to recover: what is asked of the engine before it is up waits in its
   * port, and where it does not come up, that is what is answered.
   */
  static async open(options: SessionOptions, threads: Threads = new Threads(options)): Promise<EngineSession> {
    const session = new EngineSession(threads, options)
    const opened = session.#opened(options)
    if (options.dir !== undefined) await opened
    else {
      opened.catch(() => undefined)
      // Not before what is asked at once and needs no thread has been answered.
      nodeEnv.timer(0, () => session.#startWorkers())
    }
    return session
  }

  async #opened({ dir, workers, fsync }: SessionOptions): Promise<void> {
    const { engine } = this.threads
    try {
      await new Promise((resolve, reject) => {
        this.#ready = { resolve, reject }
        engine.listen(
          (message) => this.#onMessage(message),
          (cause) => this.#die(cause),
        )
      })
    } catch (error) {
      // Who has asked for something meanwhile hears the same.
      this.#dead ??= fromErrorShape(toErrorShape(error))
      await this.#abandon()
      throw error
    }
    if (dir !== undefined) await this.log.topics.load()
    this.#logger.info({ dir, workers, fsync, topics: this.log.topics.list().length }, 'engine opened')
  }

  #startWorkers(): void {
    if (this.#closing === undefined && this.#dead === undefined) this.threads.startWorkers()
  }

  private constructor(
    private readonly threads: Threads,
    options: SessionOptions,
  ) {
    this.#logger = options.logger ?? silentLogger
    this.#closeTimeoutMs = options.closeTimeoutMs ?? CLOSE_TIMEOUT_MS
    threads.logTo((entry) => this.#log(entry))
    this.#memory = new LogMemory(threads.engine.shared, HOST_SLOT)
    this.#memory.chunks.attachThread(threads.engine.memoryPort)
    threads.engine.memoryPort.unref()
    this.#hostLog = new HostLog({
      memory: this.#memory,
      env: nodeEnv,
      resolveTopic: async (name) => this.log.topics.descriptor(name),
      listTopics: () => this.log.topics.descriptors(),
      createTopic: (spec) => this.log.topics.createInternal(spec),
      coordinator: {
        init: (request) => this.#request('initProducer', request),
        begin: (producerId, producerEpoch) => this.#post({ type: 'beginTransaction', producerId, producerEpoch }),
        end: (request) => this.#request('endTransaction', request),
      },
    })
    const topics = new SessionTopics((name, argument) => this.#request(name, argument), this.#hostLog)
    const clients = (): LogClients => (this.#clients ??= new (logClients().LogClients)(this.#hostLog, options))
    this.log = {
      topics,
      get groups() {
        return clients().groups
      },
      transactions: new SessionTransactions((name, argument) => this.#request(name, argument)),
      producer: (producerOptions) => clients().producer(producerOptions),
      consumer: (consumerOptions) => clients().consumer(consumerOptions),
      shareConsumer: (consumerOptions) => clients().shareConsumer(consumerOptions),
    }
    threads.attachHost((port) => this.#memory.chunks.attachThread(port))
    this.#listening = this.#memory.bells.listen(HOST_SLOT, () => this.#rung())
  }

  /** Resolves when the start offsets are pinned and the tasks run. */
  async start(spec: QuerySpec): Promise<QueryHandle> {
    this.assertOpen()
    await this.threads.pool.open()
    // The pool may have taken its time, and the engine may have been closed in the meantime.
    this.assertOpen()
    if (spec.failures?.then === 'dead-letter' && spec.failures.isDefault !== true)
      await this.log.topics.ensureLetterTopics(topicsOf(spec.plan))
    const id = randomUUID()
    const runId = randomUUID()
    const began = { query: spec.name, id, runId, mode: spec.mode.kind }
    const handle = new QueryHandle(id, runId, spec.name, (name, query) => this.#request(name, query), nodeEnv)
    const sink = spec.sink.kind === 'host' ? spec.sink.sink : undefined
    this.#queries.set(id, { handle, sink, feed: undefined, attempt: 0, fields: began })
    if (spec.failures !== undefined) this.#guard(id, sink, spec.failures, topicsOf(spec.plan))
    const tables: Record<string, readonly BlockDescriptor[]> = {}
    for (const [tableId, blocks] of spec.tables) {
      tables[tableId] = blocks.map((b) => ({ buffer: b.views.buffer as SharedArrayBuffer, position: b.position }))
    }
    if (spec.plan.stages.some(callsUserCode)) this.threads.pool.watch()
    if (!runsOnOneWorker(spec)) this.threads.pool.startAll()
    try {
      await this.#request('start', {
        id,
        runId,
        name: spec.name,
        plan: spec.plan,
        tables,
        mode: spec.mode,
        checkpoint: spec.checkpoint,
        sink: sinkStart(spec.sink),
        options: spec.options,
        failures: spec.failures,
        workerSlots: this.threads.pool.slots,
      })
    } catch (error) {
      this.#queries.delete(id)
      throw error
    }
    this.#logger.debug(began, 'query started')
    return handle
  }

  #guard(id: string, sink: HostSink | undefined, policy: FailurePolicy, [topic = '']: readonly string[]): void {
    const tell = (failed: SinkFailed): void => {
      const attempt = this.#queries.get(id)?.attempt ?? 0
      this.#post({ type: 'sinkFailures', query: id, attempt, failed })
    }
    sink?.guard?.({ policy, topic, tell })
  }

  /** Walks every file of the engine's directory, while it goes on working. */
  verify(): Promise<VerifyReport> {
    this.assertOpen()
    return this.#request('verify', undefined)
  }

  /**
   * Stops queries at an epoch, writes and syncs the log, ends the threads. A query that does not come to its epoch in time is given
   * up: everything is closed all the same, and the promise rejects with CLOSE_TIMED_OUT, which says what was waited for.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    let failure: unknown
    if (this.#dead === undefined) {
      await this.#clients?.close()
      await this.#request('close', { timeoutMs: this.#closeTimeoutMs }).catch((error: unknown) => {
        failure = error
      })
    }
    await this.#abandon()
    if (failure === undefined) this.#logger.info({}, 'engine closed')
    else this.#logger.error(errorFields(failure), 'engine closed with an error')
    if (failure !== undefined) throw failure
  }

  async #abandon(): Promise<void> {
    this.#closing ??= Promise.resolve()
    // Nobody is there to answer from now on.
    this.#dead ??= engineClosed()
    this.#cancelStart?.()
    this.#hostLog.rung()
    this.#hostLog.close()
    this.#listening.close()
    await this.threads.pool.close()
    await this.threads.engine.terminate()
    this.#memory.close()
    // What was asked after the engine had stopped to listen is never answered by it.
    this.#rejectWaiting(this.#dead)
  }

  #rejectWaiting(error: MillraceError): void {
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const one of waiting) one.reject(error)
  }

  #rung(): void {
    this.#hostLog.rung()
    for (const query of this.#queries.values()) query.feed?.rung()
  }

  #onMessage(message: FromEngine): void {
    switch (message.type) {
      case 'ready':
        this.#ready.resolve(undefined)
        this.#cancelStart = nodeEnv.timer(WORKERS_LINGER_MS, () => this.#startWorkers())
        break
      case 'answer':
        if (message.id === -1)
          this.#ready.reject(fromErrorShape(message.error ?? toErrorShape('the engine did not start')))
        else this.#settle(message.id, message.result, message.error)
        break
      case 'log':
        this.#log(message.entry)
        break
      case 'topicMade':
        this.log.topics.made(message.topic)
        break
      case 'attachSink': {
        const query = this.#queries.get(message.query)
        if (query?.sink === undefined) return
        void this.#attach(query, query.sink, message)
        break
      }
      case 'commit':
        void this.#commit(message)
        break
      case 'progress':
        this.threads.pool.hasProgressed()
        this.#queries.get(message.query)?.handle.progressed(message.progress)
        break
      case 'advance':
        this.#queries.get(message.query)?.handle.advanced(message.rows)
        break
      case 'status':
        this.#queries.get(message.query)?.handle.statusChanged(message.status)
        break
      case 'terminated': {
        const query = this.#queries.get(message.query)
        this.#queries.delete(message.query)
        void query?.feed?.close()
        const error = message.error === undefined ? undefined : fromErrorShape(message.error)
        if (query !== undefined) this.#logEnd(query, error)
        query?.handle.terminated(error)
      }
    }
  }

  /** Where a run follows another, the sink is done with what came of that one, and forgets what comes again, before it is given more. */
  async #attach(
    query: HostedQuery,
    sink: HostSink,
    { query: id, channels, attempt, epoch }: AttachSink,
  ): Promise<void> {
    const fail = (error: unknown): void =>
      this.#post({ type: 'sinkFailed', query: id, error: sinkError(error).toShape() })
    const before = query.feed
    query.feed = undefined
    try {
      if (before !== undefined) await before.close()
      if (attempt > 0) await sink.forget?.(epoch)
    } catch (error) {
      fail(error)
      return
    }
    // It may have ended meanwhile.
    if (this.#queries.get(id) !== query) return
    const reached = (of: number): void => this.#post({ type: 'sinkReached', query: id, epoch: of, attempt })
    query.attempt = attempt
    query.feed = new HostSinkFeed(channels, this.#memory.bells, sink, reached, fail)
    query.feed.rung()
  }

  #log({ level, message, fields }: LogEntry): void {
    this.#logger[level](fields, message)
  }

  /** A failed action (a batch query) throws where it was called; a failed stream may have nobody who listens. */
  #logEnd({ fields }: HostedQuery, error: MillraceError | undefined): void {
    if (error === undefined) this.#logger.debug(fields, 'query ended')
    else this.#logger[fields.mode === 'batch' ? 'debug' : 'error']({ ...fields, ...errorFields(error) }, 'query failed')
  }

  async #commit({ query: id, epoch, hasInput, blocks }: FromEngine & { type: 'commit' }): Promise<void> {
    const sink = this.#queries.get(id)?.sink
    try {
      for (const block of blocks) await sink?.rows({ views: viewsOf(block.buffer), position: block.position }, epoch, 0)
      await sink?.epoch?.(epoch, hasInput)
      this.#post({ type: 'delivered', query: id, epoch })
    } catch (error) {
      this.#post({ type: 'sinkFailed', query: id, error: sinkError(error).toShape() })
    }
  }

  #request<N extends RequestName>(name: N, argument: Requests[N]['argument']): Promise<Requests[N]['result']> {
    if (this.#dead !== undefined) return Promise.reject(this.#dead)
    const id = this.#nextRequest++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: (result) => resolve(result as Requests[N]['result']), reject })
      this.#post({ type: 'request', id, name, argument })
    })
  }

  #settle(id: number, result: unknown, error: Parameters<typeof fromErrorShape>[0] | undefined): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === undefined) waiting?.resolve(result)
    else waiting?.reject(fromErrorShape(error))
  }

  #post(message: ToEngine, transfer: readonly MessagePort[] = []): void {
    this.threads.engine.post(message, transfer)
  }

  /** Throws where the engine was closed or has died. */
  assertOpen(): void {
    if (this.#dead !== undefined) throw this.#dead
    if (this.#closing !== undefined) throw engineClosed()
  }

  #die(cause: Error): void {
    if (this.#dead !== undefined || this.#closing !== undefined) return
    const dead = new MillraceError('ENGINE_DIED', 'the engine thread has died', {
      detail: cause.message,
      hint: 'open the engine again; what was acknowledged is in its directory',
      cause,
    })
    this.#dead = dead
    this.#logger.error(errorFields(dead), 'the engine thread has died')
    this.#ready.reject(dead)
    this.#rejectWaiting(dead)
    for (const query of this.#queries.values()) query.handle.terminated(dead)
    this.#queries.clear()
    this.#hostLog.close(dead)
  }
}
