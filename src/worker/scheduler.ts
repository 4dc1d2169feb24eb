import type { Doorbells } from '../common/doorbell.js'
import type { Heartbeat } from './heartbeat.js'
import type { Task } from './task.js'

/** A park ends after this at the latest; everything that matters rings the bell, so this bounds only the unforeseen. */
const PARK_MS = 1000
/** The same where the event loop turns. */
const TURN_MS = 200

/**
 * Runs all tasks of one worker in turn, for as long as any of them gets anywhere, and parks the thread on its
 * bell when none does. The bell's sequence is read before the round, so work that is published during it is not missed.
 *
 * While promises of the user's code are under way the event loop has to turn: then the thread gives it a turn after each round, and waits for its bell
 * without blocking it. Whoever keeps such a promise rings.
 */
export class Scheduler {
  #tasks: readonly Task[] = []
  #stopped = false

  constructor(
    private readonly bells: Doorbells,
    private readonly slot: number,
    private readonly readMail: () => void,
    /** Promises that are no task's. */
    private readonly isWaiting: () => boolean = () => false,
    /** What comes after a promise may loop as well: a turn of the event loop that does not end is seen there. */
    private readonly heartbeat: () => Heartbeat | undefined = () => undefined,
  ) {}

  setTasks(tasks: readonly Task[]): void {
    this.#tasks = tasks
  }

  stop(): void {
    this.#stopped = true
  }

  /** Everything up to the first promise is done when it returns. */
  async run(onError: (task: Task, error: unknown) => void): Promise<void> {
    while (!this.#stopped) {
      const seen = this.bells.sequence(this.slot)
      if (this.bells.takeMail(this.slot)) this.readMail()
      let progress = false
      let waiting = this.isWaiting()
      const tasks = this.#tasks
      for (let i = 0; i < tasks.length; i++) {
        const task = tasks[i] as Task
        try {
          if (task.step()) progress = true
          if (task.isWaiting === true) waiting = true
        } catch (error) {
          onError(task, error)
          progress = true
          break
        }
      }
      if (this.#stopped) return
      if (waiting) {
        this.heartbeat()?.enter(-1)
        await (progress ? turn() : this.bells.wait(this.slot, seen, TURN_MS))
        this.heartbeat()?.leave()
      }
      if (!waiting && !progress) this.bells.park(this.slot, seen, PARK_MS)
    }
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
