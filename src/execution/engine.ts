import type { MessagePort } from 'node:worker_threads'
import { ENGINE_SLOT, FIRST_WORKER_SLOT } from '../common/doorbell.js'
import type { Env } from '../common/env.js'
import { engineClosed, fromErrorShape, MillraceError, toErrorShape } from '../common/errors.js'
import { lazyModule } from '../common/lazy-module.js'
import type { LogEntry } from '../common/logger.js'
import { LogEngine, type RecoveryFinding } from '../log/log-engine.js'
import type { VerifyReport } from '../log/log-verify.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import { LogMemory } from '../log/shared-memory.js'
import { scanStages } from '../plan/physical-plan.js'
import type { FromWorker, ToWorker } from '../worker/protocol.js'
import type { EngineStart, FromEngine, QueryStart, RequestName, Requests, ToEngine } from './engine-protocol.js'
import type { QueryLife } from './query-life.js'
import type { QuerySurroundings, SinkOwner } from './run-life.js'

/** With the first query, and what only some queries need with the first of those: an engine that only keeps a log opens sooner without them. */
const running = lazyModule(import.meta.url, './query-life.js', () => import('./query-life.js'))
const checkpointing = lazyModule(import.meta.url, './query-checkpoint.js', () => import('./query-checkpoint.js'))
const logSinks = lazyModule(import.meta.url, './log-sink.js', () => import('./log-sink.js'))
const fileSinks = lazyModule(import.meta.url, './file-sink.js', () => import('./file-sink.js'))
const parquet = lazyModule(
  import.meta.url,
  '../connector/files/parquet-package.js',
  () => import('../connector/files/parquet-package.js'),
)
const queueing = lazyModule(import.meta.url, './letter-queue.js', () => import('./letter-queue.js'))
const letters = lazyModule(import.meta.url, './letter-writer.js', () => import('./letter-writer.js'))
const transacting = lazyModule(import.meta.url, './epoch-transactions.js', () => import('./epoch-transactions.js'))
const owning = lazyModule(import.meta.url, '../log/owned-transactions.js', () => import('../log/owned-transactions.js'))
const verifying = lazyModule(import.meta.url, '../log/log-verify.js', () => import('../log/log-verify.js'))
const verifyingOthers = lazyModule(import.meta.url, './verify.js', () => import('./verify.js'))

/** What lives on the engine thread: the log's files and the coordinators of all queries. */
export class Engine {
  readonly #memory: LogMemory
  readonly #workers = new Map<number, MessagePort>()
  /** Slots of workers that are not started any more. */
  readonly #givenUp = new Set<number>()
  readonly #runs = new Map<string, QueryLife>()
  /** Runs that wait for a worker. */
  #waiting: (() => void)[] = []
  /** What queries write into topics with, on this thread. */
  readonly #senders = new Set<{ rung(): void }>()
  readonly #listening: { close(): void }
  #closing = false

  private constructor(
    private readonly env: Env,
    private readonly log: LogEngine,
    private readonly toHost: (message: FromEngine) => void,
    private readonly dir: string | undefined,
  ) {
    this.#memory = log.memory
    this.#listening = log.memory.bells.listen(ENGINE_SLOT, () => this.#rung())
  }

  static async open(env: Env, start: EngineStart, toHost: (message: FromEngine) => void): Promise<Engine> {
    const memory = new LogMemory(start.log, ENGINE_SLOT)
    memory.chunks.attachThread(start.memoryPort)
    let engine: Engine | undefined
    const log = await LogEngine.open({
      env,
      onAcks: () => engine?.acknowledged(),
      onFailed: (failure) => toHost({ type: 'log', entry: failureEntry(failure) }),
      dir: start.dir,
      fsync: start.fsync,
      syncIntervalMs: start.syncIntervalMs,
      memory,
      spillDirectory: start.spillDirectory,
      transactionalIdExpirationMs: start.transactionalIdExpirationMs,
      producerIdExpirationMs: start.producerIdExpirationMs,
      askOwner: (owner, transaction) => checkpointing().outcomeIn(env, owner, transaction),
    })
    for (const entry of recoveryEntries(log.findings, log.markFaults)) toHost({ type: 'log', entry })
    engine = new Engine(env, log, toHost, start.dir)
    return engine
  }

  onMessage(message: ToEngine): void {
    switch (message.type) {
      case 'request':
        this.#answer(message.id, message.name, message.argument)
        break
      case 'worker': {
        const { slot, control, memory } = message
        this.#memory.chunks.attachThread(memory)
        this.#workers.set(slot, control)
        // By the run, of which a query may have had several.
        control.on('message', (said: FromWorker) => this.#runs.get(queryOf(said.query))?.onMessage(said))
        this.#tellWorkers()
        break
      }
      case 'beginTransaction':
        this.log.transactions.begin(message.producerId, message.producerEpoch)
        break
      case 'workerDied':
        this.#workers.delete(message.slot)
        this.log.forgetThread(message.slot)
        if (!message.restarts) this.#givenUp.add(message.slot)
        for (const life of this.#runs.values())
          life.workerDied(message.slot, fromErrorShape(message.error), message.culprit)
        this.#tellWorkers()
        break
      case 'sinkReached':
        this.#runs.get(message.query)?.onSinkReached(message.epoch, message.attempt)
        break
      case 'delivered':
        this.#runs.get(message.query)?.onDelivered(message.epoch)
        break
      case 'sinkFailures':
        this.#runs.get(message.query)?.onSinkFailures(message.failed, message.attempt)
        break
      case 'sinkFailed':
        this.#runs.get(message.query)?.fail(fromErrorShape(message.error))
    }
  }

  #rung(): void {
    this.log.wake()
    for (const run of this.#runs.values()) run.onRing()
    for (const sender of this.#senders) sender.rung()
  }

  /** The log's own writer has made promises true: sinks on this thread may wait for them. */
  acknowledged(): void {
    for (const sender of this.#senders) sender.rung()
  }

  #answer(id: number, name: RequestName, argument: unknown): void {
    this.#serve(name, argument).then(
      (result) => this.toHost({ type: 'answer', id, result }),
      (error: unknown) => this.toHost({ type: 'answer', id, error: toErrorShape(error) }),
    )
  }

  async #serve(name: RequestName, argument: unknown): Promise<unknown> {
    switch (name) {
      case 'createTopic':
        return this.log.createTopic(argument as Requests['createTopic']['argument'])
      case 'deleteTopic':
        return await this.#deleteTopic(argument as string)
      case 'listTopics':
        return this.log.list()
      case 'topicState':
        return this.log.state(argument as string)
      case 'alterTopic': {
        const { name: topic, change } = argument as Requests['alterTopic']['argument']
        const altered = this.log.alterTopic(topic, change)
        for (const run of this.#runs.values()) run.topicGrown(altered)
        return altered
      }
      case 'deleteRecords': {
        const { name: topic, partition, offset } = argument as Requests['deleteRecords']['argument']
        return await this.log.deleteRecords(topic, partition, offset)
      }
      case 'explainRecord': {
        const { name: topic, partition, offset } = argument as Requests['explainRecord']['argument']
        return await this.log.explainRecord(topic, partition, offset)
      }
      case 'verify':
        return await this.#verify()
      case 'compactNow':
        return await this.log.compactNow(argument as string)
      case 'initProducer':
        return await this.log.transactions.initProducer(argument as Requests['initProducer']['argument'])
      case 'endTransaction':
        return await this.log.transactions.end(argument as Requests['endTransaction']['argument'])
      case 'listTransactions':
        return this.log.transactions.list()
      case 'describeTransaction':
        return this.log.transactions.describe(argument as string)
      case 'abortTransaction':
        return await this.log.transactions.abort(argument as string)
      case 'start':
        return await this.#start(argument as QueryStart)
      case 'stop':
        return await this.#runs.get(argument as string)?.end('stop')
      case 'drain':
        return await this.#runs.get(argument as string)?.end('drain')
      case 'processAllAvailable':
        return await this.#runs.get(argument as string)?.processAllAvailable()
      case 'close':
        return await this.#close(argument as Requests['close']['argument'])
    }
  }

  async #deleteTopic(name: string): Promise<void> {
    const { id } = this.log.describe(name)
    const deleted = this.log.deleteTopic(name)
    // At once, before any task stumbles over a file that is gone: nothing will ever come from this topic again.
    for (const run of this.#runs.values()) run.topicDeleted(name, id)
    await deleted
  }

  async #start(spec: QueryStart): Promise<void> {
    const writes = this.#writesOf(spec)
    if (scanStages(spec.plan).some(({ input }) => input.source.format === 'parquet')) await parquet().loadParquet()
    // A run that begins now would be none of those that close() waits for.
    if (this.#closing) throw engineClosed()
    // One that has died is being started again; the query waits for it.
    const workerSlots = await this.#ready(spec.workerSlots)
    if (this.#closing) throw engineClosed()
    if (workerSlots.length === 0) {
      throw new MillraceError('WORKER_DIED', `worker ${(spec.workerSlots[0] as number) - FIRST_WORKER_SLOT} died`, {
        detail: 'it died while the query was being started',
        hint: 'start the query again',
        retriable: true,
      })
    }
    const run = new (running().QueryLife)(
      { ...spec, workerSlots },
      {
        env: this.env,
        bells: this.#memory.bells,
        log: this.log,
        toWorker: (slot, message) => this.#toWorker(slot, message),
        toHost: this.toHost,
        ...writes,
        openFileSink: this.#fileSinkOf(spec),
        workers: { ready: (slots) => this.#ready(slots) },
      },
    )
    this.#runs.set(spec.id, run)
    void run.ended.then(() => {
      this.#runs.delete(spec.id)
      const error = run.failure
      this.toHost({ type: 'terminated', query: spec.id, ...(error === undefined ? {} : { error: error.toShape() }) })
    })
    await run.started
    if (run.failure !== undefined) throw run.failure
  }

  /** Those of the workers that are not given up, once they can be sent messages; at once where the engine closes. */
  async #ready(slots: readonly number[]): Promise<readonly number[]> {
    for (;;) {
      const alive = slots.filter((slot) => !this.#givenUp.has(slot))
      if (this.#closing || alive.every((slot) => this.#workers.has(slot))) return alive
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  #tellWorkers(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }

  /** What a query needs that writes into topics. */
  #writesOf({ name, sink: to, plan, checkpoint, failures }: QueryStart): TopicWrites {
    const writesLetters = failures?.then === 'dead-letter'
    if (to.kind !== 'log' && !writesLetters) return noWrites
    const owner = checkpoint === undefined ? undefined : checkpointing().checkpointOwner(checkpoint)
    const ringing = <Sender extends { rung(): void }>(run: SinkOwner, sender: Sender): Sender => {
      this.#senders.add(sender)
      void run.closed.then(() => this.#senders.delete(sender))
      return sender
    }
    const memory = this.#memory
    const { env } = this
    return {
      openTransactions: (run) =>
        new (transacting().EpochTransactions)(
          new (owning().OwnedTransactions)(this.log.transactions, owner),
          (error) => run.fail(error),
          () => run.onRing(),
        ),
      openLetters: writesLetters
        ? (run, transactions) => {
            const made = (queue: TopicDescriptor): void => this.toHost({ type: 'topicMade', topic: queue })
            const around = {
              memory,
              env,
              queueOf: (topic: string): TopicDescriptor => queueing().letterQueueOf(this.log, topic, made),
              fail: (error: unknown): void => run.fail(error),
              log: (entry: LogEntry): void => this.toHost({ type: 'log', entry }),
            }
            return ringing(run, new (letters().LetterWriter)(name, transactions, around))
          }
        : undefined,
      openLogSink:
        to.kind === 'log'
          ? (run, transactions) => {
              const topic = this.log.describe(to.topic)
              const fail = (error: unknown): void => run.fail(error)
              return ringing(run, new (logSinks().LogSink)(topic, plan.schema, memory, env, transactions, fail))
            }
          : undefined,
    }
  }

  /** Of a stream the folder is its checkpoint's; one without is as long as it runs. */
  #fileSinkOf({ id, sink, plan, mode, checkpoint }: QueryStart): QuerySurroundings['openFileSink'] {
    if (sink.kind !== 'files') return undefined
    const name = checkpoint === undefined ? `query ${id}` : checkpointing().checkpointOwner(checkpoint)
    return (run, startedAt, epoch) => {
      const owner = mode.kind === 'batch' ? undefined : `${name}, begun at ${new Date(startedAt).toISOString()}`
      return new (fileSinks().FileSink)(sink.files, plan.schema, this.env, owner, epoch, run)
    }
  }

  async #verify(): Promise<VerifyReport> {
    const totals = new (verifying().VerifyTotals)()
    await this.log.verify(totals)
    if (this.dir !== undefined) verifyingOthers().verifyOtherFiles(this.env, this.dir, totals)
    return totals.report()
  }

  #toWorker(slot: number, message: ToWorker): void {
    this.#workers.get(slot)?.postMessage(message)
    this.#memory.bells.ringForMail(slot)
  }

  async #close({ timeoutMs }: Requests['close']['argument']): Promise<void> {
    this.#closing = true
    this.#tellWorkers()
    const late = await this.#stopAll(timeoutMs)
    for (const slot of this.#workers.keys()) this.#toWorker(slot, { type: 'shutdown' })
    try {
      await this.log.close()
    } finally {
      this.#listening.close()
      for (const control of this.#workers.values()) control.close()
      this.#memory.close()
    }
    if (late !== undefined) throw late
  }

  /** Every run has ended after this. Those that do not end at an epoch in time are given up; the error names them. */
  async #stopAll(timeoutMs: number): Promise<MillraceError | undefined> {
    const runs = [...this.#runs.values()]
    let cancel = (): void => undefined
    const timeUp = new Promise<boolean>((resolve) => {
      cancel = this.env.timer(timeoutMs, () => resolve(true))
    })
    const ended = Promise.all(runs.map((run) => run.end('stop'))).then(() => false)
    if (!(await Promise.race([ended, timeUp]))) {
      cancel()
      return undefined
    }
    const hung = runs.filter((run) => this.#runs.has(run.spec.id))
    const found = hung.map((run) => `${run.spec.name === '' ? run.spec.id : run.spec.name}: ${run.waitsFor}`)
    const late = new MillraceError(
      'CLOSE_TIMED_OUT',
      `close() has waited ${timeoutMs} ms for ${hung.length === 1 ? 'a query' : `${hung.length} queries`} and gone on without`,
      {
        detail: found.join('; '),
        hint: 'the log is written and closed; started again, a query goes on from its last committed epoch. A function that is given to foreach or foreachBatch has to return. closeTimeoutMs of Millrace.open waits longer',
      },
    )
    for (const run of hung) run.fail(late)
    await ended
    return late
  }
}

type TopicWrites = Pick<QuerySurroundings, 'openTransactions' | 'openLogSink' | 'openLetters'>

const noWrites: TopicWrites = { openTransactions: undefined, openLogSink: undefined, openLetters: undefined }

/** Of the id of a run, see QueryRun. */
const queryOf = (run: string): string => run.slice(0, run.indexOf('/'))

function failureEntry({ code, message, detail }: MillraceError): LogEntry {
  return { level: 'error', message: 'a partition is read-only', fields: { code, message, detail } }
}

/** What opening the log found amiss, for the logger: nothing of it was acknowledged where it was cut, or it is damaged and kept. */
function recoveryEntries(findings: readonly RecoveryFinding[], marks: readonly MillraceError[]): LogEntry[] {
  const said = marks.map(
    ({ code, message, detail }): LogEntry => ({
      level: 'error',
      message: 'a mark is corrupt',
      fields: { code, message, detail },
    }),
  )
  const found = findings.flatMap(({ topic, partition, cut, damaged }) => [
    ...(cut === undefined
      ? []
      : [{ level: 'warn', message: 'a torn tail was cut', fields: { topic, partition, ...cut } } satisfies LogEntry]),
    ...damaged.map(
      (range): LogEntry => ({
        level: 'error',
        message: 'a segment is damaged',
        fields: { topic, partition, ...range },
      }),
    ),
  ])
  return [...said, ...found]
}
