/** Timing of whole runs: warm-up first, then repeats; the median counts and the spread is shown. */

export interface Timing {
  /** Milliseconds. */
  readonly median: number
  readonly min: number
  readonly max: number
  /** CPU seconds of the whole process, all threads, per run. */
  readonly cpuSeconds: number
}

export interface MeasureOptions {
  readonly warmUp: number
  readonly repeats: number
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle]
  if (upper === undefined) throw new Error('the median of nothing')
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? upper)) / 2
}

/** Times `run`; `before` prepares each run and is not timed. */
export async function measure(
  options: MeasureOptions,
  run: () => void | Promise<void>,
  before?: () => void | Promise<void>,
): Promise<Timing> {
  const elapsed: number[] = []
  let cpuMicros = 0
  for (let i = -options.warmUp; i < options.repeats; i++) {
    await before?.()
    const cpu = process.cpuUsage()
    const start = performance.now()
    await run()
    const ms = performance.now() - start
    const used = process.cpuUsage(cpu)
    if (i < 0) continue
    elapsed.push(ms)
    cpuMicros += used.user + used.system
  }
  return {
    median: median(elapsed),
    min: Math.min(...elapsed),
    max: Math.max(...elapsed),
    cpuSeconds: cpuMicros / 1e6 / options.repeats,
  }
}

/** Repeats two things in turn, A B A B, so that a slow spell of the machine falls on both. */
export async function interleave(
  options: MeasureOptions,
  a: () => void | Promise<void>,
  b: () => void | Promise<void>,
): Promise<{ readonly a: Timing; readonly b: Timing }> {
  const times = { a: [] as Timing[], b: [] as Timing[] }
  await measure({ warmUp: options.warmUp, repeats: 1 }, a)
  await measure({ warmUp: options.warmUp, repeats: 1 }, b)
  for (let i = 0; i < options.repeats; i++) {
    times.a.push(await measure({ warmUp: 0, repeats: 1 }, a))
    times.b.push(await measure({ warmUp: 0, repeats: 1 }, b))
  }
  const combine = (all: readonly Timing[]): Timing => ({
    median: median(all.map((t) => t.median)),
    min: Math.min(...all.map((t) => t.min)),
    max: Math.max(...all.map((t) => t.max)),
    cpuSeconds: median(all.map((t) => t.cpuSeconds)),
  })
  return { a: combine(times.a), b: combine(times.b) }
}

/** Records per second of a timing, with its spread. */
export function rates(
  records: number,
  timing: Timing,
): { readonly figure: number; readonly spread: { readonly min: number; readonly max: number } } {
  return {
    figure: (records / timing.median) * 1000,
    spread: { min: (records / timing.max) * 1000, max: (records / timing.min) * 1000 },
  }
}

/** A result that is wrong has no speed. */
export function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`result check: ${message}`)
}
