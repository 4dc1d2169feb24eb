import { present } from '../common/assert.js'
import { FIRST_WORKER_SLOT } from '../common/doorbell.js'
import type { LaneFile } from '../connector/files/lane.js'
import type { ScanPartition } from '../connector/inputs.js'
import { hasClockTimers, scanStages } from '../plan/physical-plan.js'
import type { FromWorker, TaskMetrics } from '../worker/protocol.js'
import type { Goal } from '../worker/scan-task.js'
import { deploymentOf, type Layout, scanOf, taskName } from './deployment.js'
import type { QueryStart } from './engine-protocol.js'
import type { QuerySources } from './query-sources.js'
import type { QuerySurroundings } from './run-life.js'

/**
 * The tasks of one run, as the engine thread knows them: on which worker each is, what they are told, and how many rows they have read.
 */
export class RunTasks {
  /** Until the tasks are deployed: it holds the state that they begin with. */
  #layout: Layout | undefined
  readonly #slots: readonly number[]
  /** By source, the stage that reads it. */
  readonly #scanStages: readonly number[]
  /** By name, the worker that a task runs on. */
  readonly #tasks: ReadonlyMap<string, number>
  /** Rows read, by scanning task. */
  readonly #advanced = new Map<string, number>()
  #deployed = 0
  /** When a timer of processing time expires next, on any of them. */
  dueAt: number

  constructor(
    /** By which the workers know the run. */
    private readonly run: string,
    private readonly spec: QueryStart,
    private readonly around: QuerySurroundings,
    layout: Layout,
  ) {
    this.#layout = layout
    this.#slots = [...layout.tasks.keys()]
    // Of a run before nothing is known: its first epoch tells.
    const goesOn = [...layout.tasks.values()].flat().some(({ restore }) => restore !== undefined)
    this.dueAt = goesOn && hasClockTimers(spec.plan) ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
    this.#scanStages = scanStages(spec.plan).map(({ id }) => id)
    this.#tasks = new Map(
      [...layout.tasks].flatMap(([slot, own]) =>
        own.map(({ stage, task }): [string, number] => [taskName(stage, task), slot]),
      ),
    )
  }

  get names(): readonly string[] {
    return [...this.#tasks.keys()]
  }

  /** Whether a worker holds any of them. */
  areOn(slot: number): boolean {
    return this.#slots.includes(slot)
  }

  /** The worker of each, in words. */
  placesOf(names: readonly string[]): string {
    return names.map((name) => `${name} on worker ${(this.#tasks.get(name) ?? 0) - FIRST_WORKER_SLOT}`).join(', ')
  }

  /** Gives the workers their tasks, of which the first barrier to come is that of `epoch`. */
  deploy(epoch: number, attempt: number): void {
    const { spec, around } = this
    const { sinkChannels, tasks } = present(this.#layout, 'the layout of a run that begins')
    if (spec.sink.kind === 'rows') {
      around.toHost({ type: 'attachSink', query: spec.id, channels: sinkChannels, attempt, epoch })
    }
    for (const [slot, own] of tasks) {
      around.toWorker(slot, { type: 'deploy', deployment: deploymentOf(this.run, spec, own, epoch) })
    }
    this.#layout = undefined
  }

  epochEnded(metrics: ReadonlyMap<string, TaskMetrics>): void {
    this.dueAt = Math.min(...[...metrics.values()].map(({ dueAt }) => dueAt))
  }

  /** A worker has said that it has its tasks. */
  onDeployed(): void {
    this.#deployed += 1
  }

  get areDeployed(): boolean {
    return this.#deployed === this.#slots.length
  }

  undeploy(): void {
    for (const slot of this.#slots) this.around.toWorker(slot, { type: 'undeploy', query: this.run })
  }

  goal(goal: Goal): void {
    for (const slot of this.#slots) this.around.toWorker(slot, { type: 'goal', query: this.run, ...goal })
  }

  addPartition(source: QuerySources, partition: ScanPartition): void {
    const { source: of, local } = source.place(partition.index)
    const stage = present(this.#scanStages[of], `the stage of source ${of}`)
    const { task, slot } = scanOf(this.#tasks, stage, local)
    this.around.toWorker(slot, { type: 'addPartition', query: this.run, stage, task, partition })
  }

  /** Files that were found for input partition `index`. */
  addFiles(source: QuerySources, index: number, files: readonly LaneFile[]): void {
    const { source: of, local } = source.place(index)
    const stage = present(this.#scanStages[of], `the stage of source ${of}`)
    const { task, slot } = scanOf(this.#tasks, stage, local)
    this.around.toWorker(slot, { type: 'addFiles', query: this.run, stage, task, index, files })
  }

  /** So many dead letters of a task are in the log. */
  lettersTaken(stage: number, task: number, letters: number): void {
    const slot = this.#tasks.get(taskName(stage, task))
    if (slot !== undefined) this.around.toWorker(slot, { type: 'lettersTaken', query: this.run, stage, task, letters })
  }

  onAdvance(message: FromWorker & { type: 'advance' }): void {
    this.#advanced.set(taskName(message.stage, message.task), message.rowsIn)
    let rows = 0
    for (const read of this.#advanced.values()) rows += read
    this.around.toHost({ type: 'advance', query: this.spec.id, rows })
  }
}
