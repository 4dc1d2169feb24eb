import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

/**
 * What the machine itself adds to every latency: a thread that only sleeps and wakes, running beside the
 * measurement. A p99 below the meter's is luck; one far above it is ours.
 */
export interface Hiccups {
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

export async function startHiccupMeter(): Promise<{ stop(): Promise<Hiccups> }> {
  const buffer = new SharedArrayBuffer(4)
  const flag = new Int32Array(buffer)
  const thread = new Worker(new URL('./hiccup-thread.js', import.meta.url), {
    workerData: { stop: buffer },
    execArgv: [],
  })
  await once(thread, 'message')
  return {
    stop: async () => {
      const result = once(thread, 'message') as Promise<[Hiccups]>
      Atomics.store(flag, 0, 1)
      Atomics.notify(flag, 0)
      const [hiccups] = await result
      await thread.terminate()
      return hiccups
    },
  }
}

export const describeHiccups = (h: Hiccups): string =>
  `hiccup meter p50 ${h.p50.toFixed(2)} p99 ${h.p99.toFixed(2)} p99.9 ${h.p999.toFixed(2)} max ${h.max.toFixed(2)} ms`
