import type { Env } from '../common/env.js'
import { FailureGuard, type FailuresTold } from './failure-guard.js'
import type { DeployedFailures } from './protocol.js'
import type { Counters } from './task.js'

interface TaskName {
  readonly stage: number
  readonly task: number
}

/** The failure policy of one query on one worker: a guard for each of its tasks. */
export class TaskGuards {
  readonly #guards = new Map<string, FailureGuard>()

  constructor(
    private readonly failures: DeployedFailures,
    private readonly env: Env,
    private readonly firstEpoch: number,
    private readonly tell: (task: TaskName, told: FailuresTold) => void,
  ) {}

  open({ stage, task }: TaskName): FailureGuard {
    const { policy, topic } = this.failures
    const guard = new FailureGuard(policy, this.env, this.firstEpoch, topic, (told) => this.tell({ stage, task }, told))
    this.#guards.set(keyOf({ stage, task }), guard)
    return guard
  }

  /** So many letters of the task are in the log. */
  taken({ letters, ...task }: TaskName & { readonly letters: number }): void {
    this.#guards.get(keyOf(task))?.taken(letters)
  }

  /** The task's barrier is about to be told: what the epoch leaves out is told before. */
  epochEnded(task: TaskName, epoch: number, counters: Counters): void {
    const guard = this.#guards.get(keyOf(task))
    if (guard === undefined) return
    guard.flush()
    guard.epochEnded(epoch)
    counters.failedRows = guard.failedRows
    counters.retries = guard.retries
  }
}

const keyOf = ({ stage, task }: TaskName): string => `${stage}/${task}`
