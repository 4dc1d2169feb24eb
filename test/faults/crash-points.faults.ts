import { describe, expect, it } from 'vitest'
import { powerLossModes, SimulatedMachine } from '../../src/testing/index.js'
import { type KeptRecord, MachineLog } from './machine-log.js'
import { type Experiment, experiment } from './report.js'

/**
 * F7: the process is killed, or the power goes, at every step that rolling, cleaning, deleting and swapping pass (`env.passing`), and in the
 * middle of every call that changes the disk. Two topics: one that forgets its oldest segments, one that keeps the last value of each key.
 */
const KEYS = 7

/** What was appended, by offset, and how much of it was acknowledged. */
class Expected {
  readonly records: KeptRecord[] = []
  acked = 0
  start = 0
}

class Workload {
  readonly forgetting = new Expected()
  readonly compacted = new Expected()
  isDone = false

  async run(log: MachineLog): Promise<void> {
    log.engine.createTopic({
      name: 'forgetting',
      config: { 'segment.bytes': 1500, 'retention.bytes': 4000, 'file.delete.delay.ms': 20 },
    })
    log.engine.createTopic({
      name: 'compacted',
      config: { 'segment.bytes': 1500, 'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': 0.01 },
    })
    for (let i = 0; i < 60 && log.isAlive; i++) {
      this.#append(log, 'forgetting', this.forgetting, i)
      this.#append(log, 'compacted', this.compacted, i)
      await log.advance(i % 4 === 0 ? 8 : 1)
      this.observe(log)
      if (i % 20 === 19 && log.isAlive) {
        await log.finish(log.engine.compactNow('compacted').then(() => undefined))
        if (log.isAlive) await log.finish(log.engine.clean())
        this.observe(log)
      }
    }
    if (log.isAlive) await log.advance(200)
    this.observe(log)
    this.isDone = log.isAlive
  }

  observe(log: MachineLog): void {
    if (!log.isAlive) return
    const present = new Set(log.engine.list().map((topic) => topic.name))
    for (const [topic, expected] of this.#both()) {
      if (!present.has(topic)) continue
      const appender = log.appender(topic, 0)
      expected.acked = Math.max(expected.acked, appender.ackedOffset())
      expected.start = Math.max(expected.start, appender.control.logStartOffset())
    }
  }

  check(log: MachineLog, run: Experiment): void {
    const present = new Set(log.engine.list().map((topic) => topic.name))
    for (const [topic, expected] of this.#both()) {
      if (!present.has(topic)) {
        if (expected.records.length > 0) throw new Error(`${topic} is gone`)
        continue
      }
      const state = log.engine.state(topic).partitions[0]
      if (state === undefined) throw new Error(`${topic} has no partition`)
      if (state.damaged.length > 0)
        throw new Error(`${topic}: damage where none was done: ${JSON.stringify(state.damaged)}`)
      if (state.logEndOffset < expected.acked || state.logEndOffset > expected.records.length) {
        throw new Error(
          `${topic} ends at ${state.logEndOffset}: ${expected.acked} acknowledged, ${expected.records.length} appended`,
        )
      }
      const found = log.read(topic, 0)
      for (const [offset, record] of found) {
        const was = expected.records[offset]
        if (was?.key !== record.key || was.value !== record.value)
          throw new Error(`${topic} holds something else at ${offset}`)
      }
      run.count('records checked', found.size)
      if (topic === 'forgetting') this.#checkDense(found, state.logStartOffset, state.logEndOffset)
      else this.#checkLastOfEachKey(found, state.logEndOffset)
    }
  }

  /** Nothing is missing between the start and the end, and the start went no further than retention wanted. */
  #checkDense(found: ReadonlyMap<number, KeptRecord>, start: number, end: number): void {
    if (found.size !== end - start) throw new Error(`forgetting holds ${found.size} records from ${start} to ${end}`)
    const bytes = [...found.values()].reduce((sum, { value }) => sum + value.length, 0)
    if (start > 0 && bytes < 2000) throw new Error(`forgetting has kept ${bytes} bytes, it should keep about 4000`)
  }

  /** A record may be missing only where a later one has its key. */
  #checkLastOfEachKey(found: ReadonlyMap<number, KeptRecord>, end: number): void {
    const last = new Map<string, number>()
    for (let offset = 0; offset < end; offset++) last.set(this.compacted.records[offset]?.key as string, offset)
    for (const [key, offset] of last) {
      if (!found.has(offset)) throw new Error(`compacted has lost offset ${offset}, the last of key ${key}`)
    }
  }

  #append(log: MachineLog, topic: string, expected: Expected, i: number): void {
    if (!log.isAlive) return
    const records = Array.from({ length: 1 + (i % 3) }, (_, j) => ({
      key: `k${(i * 3 + j) % KEYS}`,
      value: `${topic} ${i}/${j} ${'.'.repeat(100)}`,
    }))
    const base = log.append(topic, 0, records)
    expect(base).toBe(expected.records.length)
    expected.records.push(...records)
  }

  #both(): readonly (readonly [string, Expected])[] {
    return [
      ['forgetting', this.forgetting],
      ['compacted', this.compacted],
    ]
  }
}

type Crash = (machine: SimulatedMachine, kill: () => void) => void

/** One run that ends where `arm` says, or comes to its end; true where it was ended. */
async function crashed(run: Experiment, seed: number, power: boolean, arm: Crash): Promise<boolean> {
  const machine = new SimulatedMachine({ seed })
  const process = machine.startProcess()
  const workload = new Workload()
  const kill = (): void => {
    machine.onStep = undefined
    machine.disk.onOperation = undefined
    if (power) machine.losePower(powerLossModes[seed % powerLossModes.length])
    else process.kill()
  }
  arm(machine, kill)
  let log: MachineLog | undefined
  try {
    log = await MachineLog.open(machine, 'group', process)
    await workload.run(log)
  } catch (error) {
    if (process.isAlive) throw error
  }
  machine.onStep = undefined
  machine.disk.onOperation = undefined
  log?.letGo()
  if (process.isAlive) return false
  for (const loss of ['power', 'none']) {
    const again = await MachineLog.open(machine)
    workload.check(again, run)
    for (const topic of again.engine.list()) {
      const expected = topic.name === 'forgetting' ? workload.forgetting : workload.compacted
      expected.records.length = again.engine.state(topic.name).partitions[0]?.logEndOffset ?? 0
      expected.records.push({ key: 'after', value: `${loss} ${seed}` })
      expect(again.append(topic.name, 0, expected.records.slice(-1))).toBe(expected.records.length - 1)
    }
    await again.advance(50)
    workload.observe(again)
    if (loss === 'power') machine.losePower()
    else await again.finish(again.engine.close())
    again.letGo()
    const left = machine.disk.paths().filter((path) => /\.(cleaned|swap|tmp|anew)$|sync-failed$/.test(path))
    if (loss === 'none' && left.length > 0) throw new Error(`left over: ${left.join(' ')}`)
  }
  return true
}

describe('F7: a crash in every named phase', () => {
  it.each([true, false])('of roll, clean, delete and swap (the power goes: %s)', async (power) => {
    const run = experiment(`F7 crash at every step, ${power ? 'power lost' : 'killed'}`)
    const steps: string[] = []
    await crashed(run, run.seed, power, (machine) => {
      machine.onStep = (step) => steps.push(step)
    })
    const names = [...new Set(steps)]
    for (const phase of ['roll:', 'clean:', 'delete:', 'swap:']) {
      expect(
        names.some((name) => name.startsWith(phase)),
        `${phase} is passed: ${names.join(', ')}`,
      ).toBe(true)
    }
    for (let n = 0; n < steps.length; n++) {
      let passed = 0
      const ended = await crashed(run, run.seed + n, power, (machine, kill) => {
        machine.onStep = () => {
          if (passed++ === n) kill()
        }
      })
      if (ended) run.count('crashes')
    }
    run.count('names of steps', names.length)
    run.print()
    expect(run.counts()['crashes']).toBeGreaterThan(names.length)
  })

  it('in the middle of every call that changes the disk, every third of them', async () => {
    const run = experiment('F7 power lost at every third call')
    for (let n = run.seed % 3; ; n += 3) {
      let calls = 0
      const ended = await crashed(run, run.seed + n, true, (machine, kill) => {
        machine.disk.onOperation = ({ kind }) => {
          if (kind !== 'read' && kind !== 'open' && calls++ === n) kill()
        }
      })
      if (!ended) break
      run.count('crashes')
    }
    run.print()
    expect(run.counts()['crashes']).toBeGreaterThan(100)
  })
})
