import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

/**
 * What a second thread is worth on this machine when both are bound by memory: updates per second of one thread, and of
 * two. Two virtual cores may be two threads of one core, so "twice as fast" is not the measure of good scaling;
 * this gain of the same run is.
 */
export interface MemoryLoop {
  /** Updates per second, all threads together, of one round on `threads` threads (1 or 2). */
  round(threads: number): number
  stop(): Promise<void>
}

const TABLE_LENGTH = 1 << 22 // 32 MiB a thread

/** `updates` is the work of one thread in one round. Between rounds the threads sleep. */
export async function startMemoryLoop(updates: number): Promise<MemoryLoop> {
  const buffer = new SharedArrayBuffer(16)
  const gate = new Int32Array(buffer)
  const threads = [0, 1].map(
    (index) =>
      new Worker(new URL('./memory-thread.js', import.meta.url), {
        workerData: { gate: buffer, tableLength: TABLE_LENGTH, updates, index },
        execArgv: [],
      }),
  )
  await Promise.all(threads.map((thread) => once(thread, 'message')))
  const open = (): void => {
    Atomics.add(gate, 0, 1)
    Atomics.notify(gate, 0)
  }
  return {
    round(active) {
      Atomics.store(gate, 1, 0)
      Atomics.store(gate, 3, active)
      const start = performance.now()
      open()
      for (let done = 0; done < threads.length; done = Atomics.load(gate, 1)) Atomics.wait(gate, 1, done, 100)
      return (active * updates * 1000) / (performance.now() - start)
    },
    async stop() {
      Atomics.store(gate, 2, 1)
      open()
      await Promise.all(threads.map((thread) => thread.terminate()))
    },
  }
}
