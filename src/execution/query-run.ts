import { fromErrorShape, type MillraceError } from '../common/errors.js'
import type { ScanPartition } from '../connector/inputs.js'
import type { TopicDescriptor } from '../log/partition-descriptor.js'
import { hasState } from '../plan/physical-plan.js'
import type { FromWorker } from '../worker/protocol.js'
import { AddedPartitions } from './added-partitions.js'
import { runBatch } from './batch.js'
import { runContinuously } from './continuous.js'
import { taskName } from './deployment.js'
import { EngineInbox } from './engine-inbox.js'
import type { QueryStart } from './engine-protocol.js'
import type { EpochTransactions } from './epoch-transactions.js'
import { EpochWait } from './epoch-wait.js'
import type { FileSink } from './file-sink.js'
import type { SinkFailed } from './host-sink.js'
import { runMicroBatches } from './micro-batch.js'
import type { EpochGoal, ModeControl } from './mode-control.js'
import { ProgressReporter } from './progress-reporter.js'
import { type EpochEnd, type QueryCheckpoint, sharedBlock } from './query-checkpoint.js'
import { queryFailed, topicDeleted } from './query-errors.js'
import type { QuerySources } from './query-sources.js'
import { RunFailures } from './run-failures.js'
import type { QuerySurroundings, RunLife } from './run-life.js'
import { prepareRun } from './run-preparation.js'
import { RunTasks } from './run-tasks.js'
import { Signal } from './signal.js'
import type { SparkWatermark } from './spark-watermark.js'

/**
 * One run of one query, on the engine thread: fixes what an epoch is, lets the tasks run it, and commits it. The
 * three modes differ in when an epoch begins and ends, and in nothing else.
 */
export class QueryRun {
  /** By which the workers know it. */
  readonly id: string
  readonly #source: QuerySources
  readonly #checkpoint: QueryCheckpoint
  readonly #sparkWatermark: SparkWatermark | undefined
  readonly #tasks: RunTasks
  readonly #inbox: EngineInbox
  /** Where anything of it is written into topics. */
  readonly #transactions: EpochTransactions | undefined
  readonly #files: FileSink | undefined
  readonly #failures: RunFailures | undefined
  readonly #progress: ProgressReporter
  /** Offsets up to which epochs are committed, by input partition. */
  #offsets: number[]
  #epoch: number
  readonly #added: AddedPartitions
  #wait: EpochWait | undefined
  readonly #signal: Signal
  #delivered: { readonly epoch: number; readonly resolve: () => void } | undefined
  /** Nothing that still comes from its tasks is looked at. */
  #isOver = false
  #lost: MillraceError | undefined
  #lose!: (error: MillraceError) => void
  readonly #workerLost: Promise<never>
  readonly #firstEpoch: number
  #failure: MillraceError | undefined
  #fail!: (error: MillraceError) => void
  readonly #failed: Promise<never>
  #started!: () => void
  readonly started: Promise<void>
  /** Resolves when the run is over, whatever the reason; `failure` tells which. */
  readonly ended: Promise<void>
  /** The same, for what is made before the run begins. */
  readonly closed: Promise<void>

  constructor(
    readonly spec: QueryStart,
    private readonly around: QuerySurroundings,
    private readonly life: RunLife,
  ) {
    this.id = `${spec.id}/${life.attempt}`
    this.#signal = new Signal(around.env)
    let close!: () => void
    this.closed = new Promise((resolve) => {
      close = resolve
    })
    const prepared = prepareRun(spec, around, life.memory)
    const { source, checkpoint, offsets, epoch, layout } = prepared
    this.#sparkWatermark = prepared.sparkWatermark
    this.#source = source
    this.#checkpoint = checkpoint
    this.#offsets = offsets
    this.#epoch = epoch
    this.#added = new AddedPartitions(source, spec.mode, (added) => this.#addPartitions(added))
    this.#tasks = new RunTasks(this.id, spec, around, layout)
    const engineSink = spec.sink.kind === 'durable' || spec.sink.kind === 'log' || spec.sink.kind === 'files'
    this.#transactions = around.openTransactions?.(this)
    const letters = this.#transactions && around.openLetters?.(this, this.#transactions)
    const { failures } = spec
    this.#failures = failures && new RunFailures(spec.name, failures, letters, around.env)
    const logSink = this.#transactions && around.openLogSink?.(this, this.#transactions)
    this.#files = around.openFileSink?.(this, prepared.startedAt, epoch)
    this.#inbox = new EngineInbox(layout, around.bells, engineSink, logSink ?? this.#files)
    this.#progress = new ProgressReporter(spec, source, around.env)
    this.#failed = new Promise((_, reject) => {
      this.#fail = (error) => {
        if (this.#failure !== undefined) return
        this.#failure = error
        reject(error)
      }
    })
    this.#failed.catch(() => undefined)
    this.#firstEpoch = epoch
    this.#workerLost = new Promise((_, reject) => {
      this.#lose = reject
    })
    this.#workerLost.catch(() => undefined)
    this.started = new Promise((resolve) => {
      this.#started = resolve
    })
    this.ended = this.#run().finally(close)
  }

  /** A worker is gone: the run ends where it would wait for it. What needs no worker any more, an epoch that is whole, it still brings to its end. */
  workerDied(error: MillraceError): void {
    this.#lost ??= error
    this.#lose(error)
    this.#signal.wake()
  }

  /** The death of a worker by which it has ended: it can be run again from what is committed. */
  get lost(): MillraceError | undefined {
    return this.#failure === this.#lost ? this.#lost : undefined
  }

  /** Epochs that it has committed. */
  get committed(): number {
    return this.#epoch - this.#firstEpoch
  }

  /** Whether a worker holds tasks of this run. */
  runsOn(slot: number): boolean {
    return this.#tasks.areOn(slot)
  }

  get failure(): MillraceError | undefined {
    return this.#failure
  }

  /** Bell of the engine: frames may wait in a channel, data in the log. */
  onRing(): void {
    if (this.#isOver) return
    try {
      this.#inbox.read(this.#wait)
      this.#failures?.rung()
    } catch (error) {
      this.fail(error)
    }
    this.#signal.wake()
  }

  onMessage(message: FromWorker): void {
    if (message.type === 'deployed') {
      this.#tasks.onDeployed()
      this.#signal.wake()
    } else if (message.type === 'barrier') {
      const wait = this.#wait
      if (wait === undefined || wait.epoch !== message.epoch) return
      const { stage, task, positions, closedUntil: until, metrics } = message
      const isStateful = hasState(this.spec.plan.stages[stage]?.head)
      wait.taskReached(taskName(stage, task), positions, isStateful ? { stage, until } : undefined, metrics)
    } else if (message.type === 'advance') {
      this.#tasks.onAdvance(message)
    } else if (message.type === 'failures') {
      try {
        const { stage, task } = message
        this.#failures?.onFailures(message, (letters) => this.#tasks.lettersTaken(stage, task, letters))
      } catch (error) {
        this.fail(error)
      }
    } else if (message.type === 'failed') {
      this.fail(fromErrorShape(message.error))
    }
  }

  onSinkReached(epoch: number, attempt: number): void {
    if (this.#wait?.epoch === epoch && attempt === this.life.attempt) this.#wait.sinkReached()
  }

  onSinkFailures(failed: SinkFailed, attempt: number): void {
    // A durable sink is the query's and not the run's.
    if (this.spec.sink.kind === 'durable' || attempt === this.life.attempt) this.#failures?.onSinkFailures(failed)
  }

  onDelivered(epoch: number): void {
    if (this.#delivered?.epoch === epoch) this.#delivered.resolve()
  }

  fail(error: unknown): void {
    this.#fail(queryFailed(this.spec.name, error))
    this.#started()
    this.#signal.wake()
  }

  /** A query that reads a topic, or writes it, ends with it: one of the same name made later is another topic. */
  topicDeleted(name: string, id: string): void {
    const { sink } = this.spec
    if (this.#source.reads(id) || (sink.kind === 'log' && sink.topic === name)) {
      this.fail(topicDeleted(name, this.spec.name))
    }
  }

  /** A topic that it may read has got more partitions, or other settings. */
  topicGrown(topic: TopicDescriptor): void {
    this.#added.topicGrown(topic)
    this.#signal.wake()
  }

  #addPartitions(added: readonly ScanPartition[]): void {
    this.#offsets = [...this.#offsets, ...added.map(({ offset }) => offset)]
    this.#checkpoint.inputs(this.#source.inputs)
    for (const partition of added) this.#tasks.addPartition(this.#source, partition)
  }

  /** Ends the run at an epoch: `stop` keeps windows open in the checkpoint, `drain` treats the input as ended. */
  async end(wish: 'stop' | 'drain'): Promise<void> {
    if (this.life.wish !== 'drain') this.life.wish = wish
    this.#signal.wake()
    await this.ended
  }

  /** What it has not got from whom, in words: for a stop that takes too long. */
  get waitsFor(): string {
    const wait = this.#wait
    if (this.#delivered !== undefined) return `its sink has not returned from epoch ${this.#delivered.epoch}`
    if (wait === undefined) return 'its epoch is being written down'
    if (wait.missing.length === 0) return `its sink has not taken the rows of epoch ${wait.epoch}`
    return `epoch ${wait.epoch} has not come from task ${this.#tasks.placesOf(wait.missing)}`
  }

  /** Resolves when everything that is in the source now is committed and delivered. */
  processAllAvailable(): Promise<void> {
    this.#source.refresh()
    const target = this.#source.latest()
    if (this.#failure !== undefined && this.lost === undefined) return Promise.reject(this.#failure)
    const reached = this.life.caughtUp.wait(target)
    this.#settle()
    this.#signal.wake()
    return reached.then(() => this.#files?.roll())
  }

  async #run(): Promise<void> {
    try {
      await this.#orFailed(this.#deploy())
      this.#started()
      await this.#orFailed(this.#recoverEpoch())
      await this.#orFailed(this.#runMode())
    } catch (error) {
      this.fail(error)
    }
    this.#isOver = true
    this.#added.epochBegins()
    this.#source.watch(false)
    this.#tasks.undeploy()
    try {
      await this.#transactions?.close()
      this.#files?.close(this.#failure === undefined)
      this.#checkpoint.close()
    } catch (error) {
      this.fail(error)
    }
    this.#started()
  }

  #runMode(): Promise<void> {
    const { mode } = this.spec
    const control: ModeControl = {
      env: this.around.env,
      source: this.#source,
      offsets: () => this.#offsets,
      wish: () => this.life.wish,
      target: () => (this.life.target ??= mode.kind === 'batch' ? this.#source.endingOffsets() : this.#source.latest()),
      isAwaited: () => this.life.caughtUp.isAwaited,
      hasTimeMoved: () => this.#hasTimeMoved(),
      dueIn: () => this.#tasks.dueAt - this.around.env.now(),
      runEpoch: (goal) => this.#runEpoch({ ...goal, intended: false }),
      runOpen: () => this.#tasks.goal({ ends: null, barrier: -1, final: false, snapshot: false, open: true }),
      idle: (ms, hasData) => {
        this.#assertRuns()
        this.#settle()
        this.#say('Waiting for data to arrive', hasData)
        // The bell need not ring for every append when it is known that there is data.
        this.#source.watch(!hasData)
        // What was appended after the caller looked and before the bell was watched has rung nobody.
        const offsets = this.#offsets
        if (!hasData && this.#source.latest().some((end, i) => end > (offsets[i] as number))) return Promise.resolve()
        return this.#signal.wait(ms)
      },
    }
    this.#added.betweenEpochs()
    if (mode.kind === 'batch') return runBatch(control)
    return mode.kind === 'microBatch' ? runMicroBatches(control, mode) : runContinuously(control, mode)
  }

  async #deploy(): Promise<void> {
    this.#source.watch(true)
    this.#tasks.deploy(this.#epoch, this.life.attempt)
    while (!this.#tasks.areDeployed) {
      this.#assertRuns()
      await this.#signal.wait()
    }
    this.#source.followFiles((index, files) => this.#tasks.addFiles(this.#source, index, files))
    await this.#checkpoint.sync()
  }

  /** What the last run left unfinished: an epoch to be delivered again, an intent to be run again. */
  async #recoverEpoch(): Promise<void> {
    const { committed, delivered, output, intent } = this.#checkpoint.recovered
    if (committed !== undefined && !delivered) await this.#deliver(committed.epoch, output, true)
    this.#checkpoint.forgetRecovered()
    if (intent === undefined || intent.epoch !== this.#epoch) return
    // Of a partition that has come since nothing was intended.
    const ends = this.#offsets.map((offset, i) => intent.ends[i] ?? offset)
    await this.#runEpoch({ ends, final: intent.final, open: false, intended: true })
  }

  /** One epoch, from its goal to its delivery. `ends` null: it ends where the tasks are when they hear of it. */
  async #runEpoch(goal: EpochGoal & { readonly intended: boolean }): Promise<void> {
    this.#assertRuns()
    const [{ env, log }, { sink }] = [this.around, this.spec]
    this.#added.epochBegins()
    const [epoch, checkpoint] = [this.#epoch, this.#checkpoint]
    this.#say('Processing new data', true)
    const clock = this.#progress.begin(epoch, this.#offsets)
    // Where nothing leaves before the commit, the intent is written down with it: an epoch that was cut short has been seen by nobody.
    const late = !goal.intended && !goal.final && this.spec.sink.kind !== 'rows'
    let inputSynced: Promise<void> | undefined
    if (goal.ends !== null && !goal.intended && checkpoint.isKept) {
      if (checkpoint.isDurable) inputSynced = log.syncUpTo(this.#source.logOffsets(goal.ends))
      inputSynced?.catch(() => undefined)
      if (!late) {
        await inputSynced
        checkpoint.intent(epoch, goal.ends, goal.final)
        await checkpoint.sync()
      }
      clock.mark('walCommit')
    }
    const snapshot = checkpoint.wantsSnapshot()
    if (snapshot) checkpoint.beginSnapshot()
    const wait = new EpochWait(epoch, env.monotonic(), this.#tasks.names, this.#inbox.stateLogs, sink.kind !== 'noop')
    this.#wait = wait
    const watermarks = this.#sparkWatermark?.watermarks
    this.#tasks.goal({
      ends: goal.ends,
      barrier: epoch,
      final: goal.final,
      snapshot,
      open: goal.open,
      ...(watermarks === undefined ? {} : { watermarks }),
    })
    await Promise.race([wait.done, this.#workerLost])
    this.#failures?.epochEnded(wait.metrics, goal.final)
    this.#tasks.epochEnded(wait.metrics)
    const output = this.#inbox.takeRows(epoch)
    clock.mark('addBatch')
    this.#wait = undefined
    const ends = this.#source.earliest()
    for (const p of wait.positions) ends[p.index] = p.offset
    // With or without a checkpoint: an epoch is over when its rows are in the topic.
    const transaction = await this.#transactions?.prepare(epoch)
    await this.#files?.prepare(epoch)
    const end: EpochEnd = {
      positions: wait.positions,
      closedUntil: wait.closedUntil,
      watermarks: this.#sparkWatermark?.epochEnded(wait.positions),
      transaction,
    }
    if (checkpoint.isKept) {
      await inputSynced
      const planned = goal.ends ?? []
      // Where a goal was open before, tasks may have read on beyond the ends that were synced with the intent.
      if (checkpoint.isDurable && ends.some((end, i) => end > (planned[i] ?? -1)))
        await log.syncUpTo(this.#source.logOffsets(ends))
      if (goal.ends === null || late) checkpoint.intent(epoch, ends, goal.final)
      for (const { stage, block } of wait.state) checkpoint.state(epoch, stage, block, snapshot)
      for (const block of output) checkpoint.output(epoch, block)
      // One record commits the epoch, and with it the transaction of the sink.
      await this.#transactions?.decide(epoch)
      if (snapshot) checkpoint.compact(epoch, ends, wait.state, output, end, this.#source.fileRecords(ends))
      else {
        checkpoint.commit(epoch, end)
        await checkpoint.sync()
      }
      clock.mark('commitOffsets')
    } else await this.#transactions?.decide(epoch)
    await this.#transactions?.commit(epoch)
    this.#files?.commit(epoch)
    const hasInput = ends.some((end, i) => end > (this.#offsets[i] as number))
    await this.#deliver(epoch, output, hasInput)
    this.#offsets = ends
    this.#epoch = epoch + 1
    const progress = clock.end(ends, wait, this.#failures?.takeSinkCounts())
    this.around.toHost({ type: 'progress', query: this.spec.id, progress })
    this.#settle()
    this.#added.betweenEpochs()
  }

  /** By Spark's rule time moves between epochs, and an epoch without data then closes what is over: by the output mode something leaves with it. */
  #hasTimeMoved(): boolean {
    const { plan } = this.spec
    const closes = plan.outputMode !== 'complete' && plan.stages.some(({ head }) => hasState(head))
    return closes && this.#sparkWatermark?.hasMoved === true
  }

  #settle(): void {
    if (!this.#hasTimeMoved()) this.life.caughtUp.settle(this.#offsets)
  }

  async #deliver(epoch: number, output: readonly Uint8Array[], hasInput: boolean): Promise<void> {
    if (this.spec.sink.kind === 'rows' || this.spec.sink.kind === 'durable') {
      const delivered = new Promise<void>((resolve) => {
        this.#delivered = { epoch, resolve }
      })
      const blocks = output.map(sharedBlock)
      this.around.toHost({ type: 'commit', query: this.spec.id, epoch, hasInput, blocks })
      await delivered
      this.#delivered = undefined
    }
    const transactions = this.#transactions
    if (transactions?.has(epoch) !== true) {
      this.#checkpoint.delivered(epoch)
      return
    }
    // What a durable sink has given up is committed by the record that says that it is done with the epoch.
    const transaction = await transactions.prepare(epoch)
    await transactions.decide(epoch)
    this.#checkpoint.delivered(epoch, transaction)
    await this.#checkpoint.sync()
    await transactions.commit(epoch)
  }

  /** A run that has failed while its mode was elsewhere begins nothing more. */
  #assertRuns(): void {
    const reason = this.#failure ?? this.#lost
    if (reason !== undefined) throw reason
  }

  #say(message: string, isDataAvailable: boolean): void {
    this.#progress.status(message, isDataAvailable, (status) =>
      this.around.toHost({ type: 'status', query: this.spec.id, status }),
    )
  }

  #orFailed<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#failed])
  }
}
