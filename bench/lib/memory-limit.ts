import { Worker } from 'node:worker_threads'
import { median } from './measure.js'

/**
 * What a second thread is worth on this machine when both are bound by memory: updates per second of one thread, and of
 * two. Two virtual cores may be two threads of one core, so "twice as fast" is not the measure of good scaling;
 * this gain of the same run is.
 */
export interface MemoryLimit {
  readonly one: number
  readonly two: number
  /** two / one */
  readonly gain: number
}

const TABLE_LENGTH = 1 << 22 // 32 MiB a thread

export async function memoryLimit(options: { updates: number; repeats: number }): Promise<MemoryLimit> {
  const buffer = new SharedArrayBuffer(16)
  const gate = new Int32Array(buffer)
  const threads = [0, 1].map(
    (index) =>
      new Worker(new URL('./memory-thread.js', import.meta.url), {
        workerData: { gate: buffer, tableLength: TABLE_LENGTH, updates: options.updates, index },
        execArgv: [],
      }),
  )
  await Promise.all(
    threads.map(
      (thread) =>
        new Promise((resolve, reject) => {
          thread.once('message', resolve)
          thread.once('error', reject)
        }),
    ),
  )
  const round = (active: number): number => {
    Atomics.store(gate, 1, 0)
    Atomics.store(gate, 3, active)
    const start = performance.now()
    Atomics.add(gate, 0, 1)
    Atomics.notify(gate, 0)
    for (let done = 0; done < threads.length; done = Atomics.load(gate, 1)) Atomics.wait(gate, 1, done, 100)
    return (active * options.updates * 1000) / (performance.now() - start)
  }
  round(2)
  const one: number[] = []
  const two: number[] = []
  for (let i = 0; i < options.repeats; i++) {
    one.push(round(1))
    two.push(round(2))
  }
  Atomics.store(gate, 2, 1)
  Atomics.add(gate, 0, 1)
  Atomics.notify(gate, 0)
  await Promise.all(threads.map((thread) => thread.terminate()))
  return { one: median(one), two: median(two), gain: median(two) / median(one) }
}
