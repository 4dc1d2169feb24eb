/** Waits; the benchmarks have no other use for a timer of their own. */
export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms)
  })

/** Cores that the whole process used while `ms` went by. */
export async function coresUsed(ms: number): Promise<number> {
  const cpu = process.cpuUsage()
  const start = performance.now()
  await pause(ms)
  const used = process.cpuUsage(cpu)
  return (used.user + used.system) / 1000 / (performance.now() - start)
}
