import type { MessagePort } from 'node:worker_threads'
import { present } from '../common/assert.js'
import { type Doorbells, nextMessage } from '../common/doorbell.js'
import type { Env } from '../common/env.js'
import { toErrorShape } from '../common/errors.js'
import { lazyModule } from '../common/lazy-module.js'
import { openInputs, type ScanPartition } from '../connector/inputs.js'
import { physicalSlotsOf } from '../connector/physical-slots.js'
import { ChannelReader, ChannelWriter } from '../exchange/channel.js'
import { LogMemory } from '../log/shared-memory.js'
import { callsUserCode, hasState, type JoinSideName, type ScanInput, type Stage } from '../plan/physical-plan.js'
import type { StructType } from '../types/data-type.js'
import type { WatermarkedInput } from './barrier-inputs.js'
import { fillTables, refsOf, type Tables, viewsOfDescriptor } from './deployed-blocks.js'
import { guarding } from './guarding.js'
import type { Heartbeat } from './heartbeat.js'
import type { OrderTask } from './order-task.js'
import { OutputPort } from './output-port.js'
import type {
  DeployedFailures,
  Deployment,
  FromWorker,
  PartitionPosition,
  TaskSpec,
  ToWorker,
  WorkerStart,
} from './protocol.js'
import { type ScannedPartition, ScanTask } from './scan-task.js'
import { Scheduler } from './scheduler.js'
import { StagePipeline } from './stage-pipeline.js'
import type { StatefulTask } from './stateful-task.js'
import { type Counters, type Task, toMetrics } from './task.js'
import type { TaskGuards } from './task-guards.js'
import type { Processors, UserCodeOf } from './user-functions.js'
import type { UserSurroundings } from './user-pipeline.js'

/** By the first task that needs it. */
const keeping = lazyModule(import.meta.url, './stateful-task.js', () => import('./stateful-task.js'))
const ordering = lazyModule(import.meta.url, './order-task.js', () => import('./order-task.js'))
const userCode = lazyModule(import.meta.url, './user-functions.js', () => import('./user-functions.js'))
const heartbeats = lazyModule(import.meta.url, './heartbeat.js', () => import('./heartbeat.js'))

const nothing = (): never => {
  throw new Error('assertion failed: user code of a plan that has none')
}
const noUserCode: UserCodeOf = { functions: nothing, processors: nothing }

interface Deployed {
  readonly query: string
  readonly tasks: readonly Task[]
  readonly scans: readonly DeployedScan[]
  /** By task, where there is a failure policy. */
  readonly guards: TaskGuards | undefined
  readonly failures: Deployment['failures']
}

interface DeployedScan {
  readonly stage: number
  readonly number: number
  readonly input: ScanInput
  readonly task: ScanTask
}

/** One worker thread: keeps the tasks that were deployed on it, and runs them until it is told to shut down. */
export class Worker {
  readonly #bells: Doorbells
  readonly #memory: LogMemory
  readonly #scheduler: Scheduler
  /** Queries whose functions are being loaded. */
  readonly #loading = new Set<string>()
  readonly #deployed = new Map<string, Deployed>()
  readonly #control: MessagePort
  readonly #slot: number
  #heartbeat: Heartbeat | undefined

  constructor(
    private readonly env: Env,
    private readonly start: WorkerStart,
  ) {
    this.#slot = start.slot
    this.#control = start.control
    this.#memory = new LogMemory(start.log, start.slot)
    this.#bells = this.#memory.bells
    for (const port of start.memory) this.#memory.chunks.attachThread(port)
    this.#scheduler = new Scheduler(
      this.#bells,
      start.slot,
      () => this.#readMail(),
      () => this.#loading.size > 0,
      () => this.#heartbeat,
    )
  }

  async run(): Promise<void> {
    this.#bells.ringForMail(this.#slot)
    await this.#scheduler.run((task, error) => {
      for (const deployed of this.#deployed.values()) {
        if (deployed.tasks.includes(task)) this.#fail(deployed.query, error)
      }
    })
  }

  #readMail(): void {
    for (;;) {
      const message = nextMessage<ToWorker>(this.#control)
      if (message === undefined) return
      this.#obey(message)
    }
  }

  #obey(message: ToWorker): void {
    switch (message.type) {
      case 'deploy':
        this.#begin(message.deployment)
        break
      case 'goal':
        for (const scan of this.#deployed.get(message.query)?.scans ?? []) scan.task.setGoal(message)
        break
      case 'addPartition': {
        const scan = this.#scanOf(message)
        const failures = this.#deployed.get(message.query)?.failures
        try {
          scan?.task.addPartition(this.#open(scan.input, [message.partition], failures)[0] as ScannedPartition)
        } catch (error) {
          this.#fail(message.query, error)
        }
        break
      }
      case 'addFiles':
        this.#scanOf(message)?.task.addFiles(message.index, message.files)
        break
      case 'lettersTaken':
        this.#deployed.get(message.query)?.guards?.taken(message)
        break
      case 'undeploy':
        this.#undeploy(message.query)
        this.#say({ type: 'undeployed', query: message.query, slot: this.#slot })
        break
      case 'shutdown':
        for (const query of [...this.#deployed.keys()]) this.#undeploy(query)
        this.#scheduler.stop()
        this.#memory.close()
        this.#control.close()
    }
  }

  #scanOf({
    query,
    stage,
    task,
  }: {
    readonly query: string
    readonly stage: number
    readonly task: number
  }): DeployedScan | undefined {
    return this.#deployed.get(query)?.scans.find((one) => one.stage === stage && one.number === task)
  }

  /** The tasks are made when the functions that they call are there. */
  #begin(deployment: Deployment): void {
    const { query } = deployment
    const deploy = ({ functions, processors }: UserCodeOf): void => {
      try {
        this.#deploy(deployment, processors, {
          functions,
          env: this.env,
          wake: () => this.#bells.ring(this.#slot),
          // Read by whoever watches this thread; written only where there is user code.
          heartbeat: () => (this.#heartbeat ??= new (heartbeats().Heartbeat)(this.start.heartbeat)),
          run: query,
        })
        this.#say({ type: 'deployed', query, slot: this.#slot })
      } catch (error) {
        this.#fail(query, error)
      }
    }
    let code: UserCodeOf | Promise<UserCodeOf>
    try {
      code = deployment.plan.stages.some(callsUserCode) ? userCode().userCodeOf(deployment) : noUserCode
    } catch (error) {
      this.#fail(query, error)
      return
    }
    if (!(code instanceof Promise)) {
      deploy(code)
      return
    }
    this.#loading.add(query)
    // Where it was undeployed meanwhile, nobody waits for it any more.
    const loaded = (then: () => void): void => {
      if (this.#loading.delete(query)) then()
      this.#bells.ring(this.#slot)
    }
    code.then(
      (all) => loaded(() => deploy(all)),
      (error: unknown) => loaded(() => this.#fail(query, error)),
    )
  }

  #deploy(deployment: Deployment, processors: Processors, around: UserSurroundings): void {
    const tasks: Task[] = []
    const scans: DeployedScan[] = []
    // Known before it is whole: where a task cannot be made, those before it are closed by the undeploy of the failure.
    const guards = deployment.failures && this.#guards(deployment, deployment.failures, scans)
    this.#deployed.set(deployment.query, {
      query: deployment.query,
      tasks,
      scans,
      guards,
      failures: deployment.failures,
    })
    const tables: Tables = new Map()
    for (const spec of deployment.tasks) {
      const stage = present(deployment.plan.stages[spec.stage], `stage ${spec.stage}`)
      fillTables(tables, deployment, stage)
      const user = guards === undefined ? around : { ...around, guard: guards.open(spec) }
      if (stage.input.kind === 'scan') {
        const scan = this.#scanTask(deployment, stage, spec, tables, user)
        scans.push({ stage: spec.stage, number: spec.task, input: stage.input, task: scan })
        tasks.push(scan)
      } else if (hasState(stage.head)) {
        tasks.push(this.#statefulTask(deployment, stage, spec, tables, user, processors))
      } else {
        tasks.push(this.#orderTask(deployment, stage, spec, tables, user))
      }
    }
    this.#schedule()
  }

  #scanTask(deployment: Deployment, stage: Stage, spec: TaskSpec, tables: Tables, user: UserSurroundings): ScanTask {
    const scan = stage.input as ScanInput
    const task: ScanTask = new ScanTask(
      stage,
      deployment.plan.ansi,
      this.#open(scan, spec.scan ?? [], deployment.failures),
      physicalSlotsOf(scan),
      this.#outputs(deployment, spec, StagePipeline.outputSchema(stage)),
      this.env,
      deployment.idleAfterMs,
      (epoch, positions) => this.#barrier(deployment, spec, task.counters, epoch, positions, Number.NEGATIVE_INFINITY),
      (rowsIn) => this.#say({ type: 'advance', query: deployment.query, stage: spec.stage, task: spec.task, rowsIn }),
      tables,
      user,
    )
    return task
  }

  #open(scan: ScanInput, partitions: readonly ScanPartition[], failures: Deployment['failures']): ScannedPartition[] {
    const around = {
      memory: this.#memory,
      env: this.env,
      viewsOf: viewsOfDescriptor,
      keepsOffsets: failures !== undefined,
      wake: () => this.#bells.ring(this.#slot),
    }
    const inputs = openInputs(scan, partitions, around)
    return inputs.map((input, i) => {
      const partition = partitions[i] as ScanPartition
      const { topic } = partition
      if (failures?.policy.then !== 'dead-letter' || topic === undefined) return { ...partition, input }
      const originals = new (guarding().OriginalRecords)(topic.partition, topic.schema, around)
      return { ...partition, input, originals }
    })
  }

  #guards({ query, firstEpoch }: Deployment, failures: DeployedFailures, scans: readonly DeployedScan[]): TaskGuards {
    return new (guarding().TaskGuards)(failures, this.env, firstEpoch, ({ stage, task }, told) => {
      const scan = scans.find((one) => one.stage === stage && one.number === task)
      this.#say({ type: 'failures', query, stage, task, rowsIn: scan?.task.counters.rowsIn ?? 0, ...told })
    })
  }

  #statefulTask(
    deployment: Deployment,
    stage: Stage,
    spec: TaskSpec,
    tables: Tables,
    user: UserSurroundings,
    processors: Processors,
  ): Task {
    const task: StatefulTask = keeping().statefulTask({
      stage,
      ansi: deployment.plan.ansi,
      task: spec.task,
      tasks: spec.tasks,
      inputs: this.#inputs(spec),
      watermarkPolicy: deployment.watermarkPolicy,
      outputs: this.#outputs(deployment, spec, StagePipeline.outputSchema(stage)),
      tables,
      user,
      processors,
      stateLog: (schema) => this.#stateLog(deployment, spec, schema),
      emitEagerly: deployment.emitEagerly,
      restore: spec.restore && { ...spec.restore, blocks: refsOf(spec.restore.blocks) },
      tableOf: (name) => refsOf(deployment.tables[name] ?? []),
      onBarrier: (epoch, closedUntil) => this.#barrier(deployment, spec, task.counters, epoch, [], closedUntil),
    })
    return task
  }

  #barrier(
    deployment: Deployment,
    { stage, task }: TaskSpec,
    counters: Counters,
    epoch: number,
    positions: readonly PartitionPosition[],
    closedUntil: number,
  ): void {
    this.#deployed.get(deployment.query)?.guards?.epochEnded({ stage, task }, epoch, counters)
    const metrics = toMetrics(counters)
    this.#say({ type: 'barrier', query: deployment.query, stage, task, epoch, positions, closedUntil, metrics })
  }

  #stateLog(deployment: Deployment, spec: TaskSpec, schema: StructType): OutputPort | undefined {
    if (spec.stateLog === undefined) return undefined
    return new OutputPort(schema, new ChannelWriter(spec.stateLog, this.#bells), deployment.firstEpoch)
  }

  #orderTask(deployment: Deployment, stage: Stage, spec: TaskSpec, tables: Tables, user: UserSurroundings): OrderTask {
    const outputs = this.#outputs(deployment, spec, StagePipeline.outputSchema(stage))
    const onBarrier = (epoch: number): void =>
      this.#barrier(deployment, spec, task.counters, epoch, [], Number.NEGATIVE_INFINITY)
    const { ansi } = deployment.plan
    const task: OrderTask = new (ordering().OrderTask)(
      stage,
      ansi,
      this.#inputs(spec),
      outputs,
      onBarrier,
      tables,
      user,
    )
    return task
  }

  #inputs(spec: TaskSpec): (WatermarkedInput & { readonly side: JoinSideName })[] {
    return (spec.inputs ?? []).map(({ channel, watermark, side }) => {
      return { reader: new ChannelReader(channel, this.#bells), watermark, side }
    })
  }

  /** A task without channels discards its rows, but still counts them. */
  #outputs(deployment: Deployment, spec: TaskSpec, schema: ConstructorParameters<typeof OutputPort>[0]): OutputPort[] {
    if (spec.outputs.length === 0) return [new OutputPort(schema, undefined, deployment.firstEpoch)]
    return spec.outputs.map(
      (channel) => new OutputPort(schema, new ChannelWriter(channel, this.#bells), deployment.firstEpoch),
    )
  }

  #undeploy(query: string): void {
    this.#loading.delete(query)
    for (const task of this.#deployed.get(query)?.tasks ?? []) task.close()
    this.#deployed.delete(query)
    this.#schedule()
  }

  #schedule(): void {
    this.#scheduler.setTasks([...this.#deployed.values()].flatMap((deployed) => deployed.tasks))
  }

  #fail(query: string, error: unknown): void {
    this.#undeploy(query)
    this.#say({ type: 'failed', query, slot: this.#slot, error: toErrorShape(error) })
  }

  #say(message: FromWorker): void {
    this.#control.postMessage(message)
  }
}
