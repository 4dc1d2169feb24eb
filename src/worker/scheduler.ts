import type { Doorbells } from '../common/doorbell.js'
import type { Task } from './task.js'

/** A park ends after this at the latest; everything that matters rings the bell, so this bounds only the unforeseen. */
const PARK_MS = 1000

/**
 * Runs all tasks of one worker in turn, for as long as any of them gets anywhere, and parks the thread on its
 * bell when none does. The bell's sequence is read before the round, so work that is published during it is not missed.
 */
export class Scheduler {
  #tasks: readonly Task[] = []
  #stopped = false

  constructor(
    private readonly bells: Doorbells,
    private readonly slot: number,
    private readonly readMail: () => void,
  ) {}

  setTasks(tasks: readonly Task[]): void {
    this.#tasks = tasks
  }

  stop(): void {
    this.#stopped = true
  }

  run(onError: (task: Task, error: unknown) => void): void {
    while (!this.#stopped) {
      const seen = this.bells.sequence(this.slot)
      if (this.bells.takeMail(this.slot)) this.readMail()
      let progress = false
      const tasks = this.#tasks
      for (let i = 0; i < tasks.length; i++) {
        const task = tasks[i] as Task
        try {
          if (task.step()) progress = true
        } catch (error) {
          onError(task, error)
          progress = true
          break
        }
      }
      if (!progress && !this.#stopped) this.bells.park(this.slot, seen, PARK_MS)
    }
  }
}
