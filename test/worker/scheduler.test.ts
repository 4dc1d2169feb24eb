import { expect, test } from 'vitest'
import { Doorbells, FIRST_WORKER_SLOT } from '../../src/common/doorbell.js'
import { Scheduler } from '../../src/worker/scheduler.js'
import type { Task } from '../../src/worker/task.js'

const SLOT = FIRST_WORKER_SLOT

/** Bells that count how often the thread would have slept, and ring in its place. */
class CountingBells extends Doorbells {
  parks = 0
  constructor(readonly onPark: () => void) {
    super()
  }
  override park(): void {
    this.parks += 1
    this.onPark()
  }
}

const task = (step: () => boolean): Task => ({ step, close: () => undefined })

test('every task has its turn, however busy another is, and the thread sleeps only where none gets anywhere', async () => {
  const turns = [0, 0, 0]
  const bells = new CountingBells(() => scheduler.stop())
  const scheduler = new Scheduler(bells, SLOT, () => undefined)
  const work = [100, 3, 0]
  scheduler.setTasks(
    turns.map((_, i) =>
      task(() => {
        turns[i] = (turns[i] as number) + 1
        expect(Math.max(...turns) - Math.min(...turns)).toBeLessThanOrEqual(1)
        work[i] = (work[i] as number) - 1
        return (work[i] as number) >= 0
      }),
    ),
  )
  await scheduler.run(() => expect.fail('no task has thrown'))
  // A hundred rounds in which the first got on, and one in which nobody did.
  expect(turns).toEqual([101, 101, 101])
  expect(bells.parks).toBe(1)
})

test('a task that throws is named, and the others go on', async () => {
  const bells = new CountingBells(() => scheduler.stop())
  const scheduler = new Scheduler(bells, SLOT, () => undefined)
  let done = 0
  const broken = task(() => {
    throw new Error('broken')
  })
  const sound = task(() => ++done < 5)
  scheduler.setTasks([broken, sound])
  const failed: unknown[] = []
  await scheduler.run((failing, error) => {
    failed.push(failing, (error as Error).message)
    scheduler.setTasks([sound])
  })
  expect(failed).toEqual([broken, 'broken'])
  expect(done).toBe(5)
})

test('mail is read before the tasks run', async () => {
  const bells = new CountingBells(() => scheduler.stop())
  const heard: string[] = []
  const scheduler = new Scheduler(bells, SLOT, () => {
    heard.push('mail')
    scheduler.setTasks([task(() => heard.push('step') < 2)])
  })
  bells.ringForMail(SLOT)
  await scheduler.run(() => expect.fail('no task has thrown'))
  expect(heard).toEqual(['mail', 'step'])
})

test('while a promise is under way the event loop turns, and whoever keeps it rings', async () => {
  const bells = new CountingBells(() => expect.fail('it would have slept'))
  const scheduler = new Scheduler(bells, SLOT, () => undefined)
  const answers: number[] = []
  let asked = 0
  let isWaiting = false
  const asking: Task = {
    get isWaiting() {
      return isWaiting
    },
    step() {
      if (isWaiting) return false
      if (asked === 3) {
        scheduler.stop()
        return false
      }
      isWaiting = true
      const question = asked++
      // What comes from outside comes through the event loop.
      setImmediate(() => {
        answers.push(question)
        isWaiting = false
        bells.ring(SLOT)
      })
      return true
    },
    close: () => undefined,
  }
  scheduler.setTasks([asking])
  await scheduler.run(() => expect.fail('no task has thrown'))
  expect(answers).toEqual([0, 1, 2])
})
