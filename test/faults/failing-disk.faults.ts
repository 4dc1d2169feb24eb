import { describe, expect, it } from 'vitest'
import { EpochLog, jsonPayload, RecordType } from '../../src/checkpoint/epoch-log.js'
import type { FsyncMode } from '../../src/log/log-writer.js'
import { SimulatedMachine, systemError } from '../../src/testing/index.js'
import { MachineLog } from './machine-log.js'
import { type Experiment, experiment } from './report.js'

/**
 * F5 and F6: the k-th sync fails, the k-th write finds the disk full, for every k that a workload has. What was appended and acknowledged is
 * kept outside of the engine.
 */
const PARTITIONS = 2

class Oracle {
  readonly values: string[][] = Array.from({ length: PARTITIONS }, () => [])
  readonly acked: number[] = Array.from({ length: PARTITIONS }, () => 0)

  observe(log: MachineLog): void {
    for (let p = 0; p < PARTITIONS; p++)
      this.acked[p] = Math.max(this.acked[p] as number, log.appender('t', p).ackedOffset())
  }

  /** Everything acknowledged is there, what is there is what was appended, in its place; then it is the truth. */
  check(log: MachineLog, run: Experiment): void {
    for (let p = 0; p < PARTITIONS; p++) {
      const expected = this.values[p] as string[]
      const found = log.read('t', p)
      const end = log.engine.state('t').partitions[p]?.logEndOffset
      if (found.size !== end) throw new Error(`t-${p} ends at ${end}, and holds ${found.size} records`)
      if (found.size < (this.acked[p] as number)) {
        throw new Error(`t-${p} holds ${found.size} records, ${this.acked[p]} were acknowledged`)
      }
      for (const [offset, { value }] of found) {
        if (value !== expected[offset]) throw new Error(`t-${p} holds ${value.slice(0, 20)} at ${offset}`)
      }
      run.count('records checked', found.size)
      expected.length = found.size
      this.acked[p] = found.size
    }
  }
}

async function workload(
  log: MachineLog,
  oracle: Oracle,
  steps: number,
  refused: (error: unknown) => void,
): Promise<void> {
  for (let i = 0; i < steps && log.isAlive; i++) {
    const partition = i % PARTITIONS
    const values = Array.from({ length: 1 + (i % 4) }, (_, j) => `${partition}/${i}/${j} ${'.'.repeat((i * 37) % 500)}`)
    try {
      log.append(
        't',
        partition,
        values.map((value) => ({ key: 'k', value })),
      )
      oracle.values[partition]?.push(...values)
    } catch (error) {
      refused(error)
    }
    await log.advance(i % 3 === 0 ? 6 : 0.2)
    oracle.observe(log)
  }
}

async function opened(machine: SimulatedMachine, fsync: FsyncMode): Promise<MachineLog> {
  const log = await MachineLog.open(machine, fsync)
  if (log.engine.list().length === 0) {
    log.engine.createTopic({ name: 't', partitions: PARTITIONS, config: { 'segment.bytes': 4000 } })
  }
  return log
}

describe('F5: the k-th sync fails', () => {
  it.each(['group', 'always'] as const)('%s: k = 1 to 50', async (fsync) => {
    const run = experiment(`F5 EIO at the k-th sync, ${fsync}`)
    for (let k = 1; k <= 50; k++) {
      const machine = new SimulatedMachine({ seed: run.seed + k })
      const oracle = new Oracle()
      const log = await opened(machine, fsync)
      let syncs = 0
      let failedPath: string | undefined
      machine.disk.onOperation = ({ kind, path }) => {
        if ((kind !== 'sync' && kind !== 'syncDirectory') || !path.startsWith('/data/log/t-')) return
        const partition = path.slice(0, '/data/log/t-0'.length)
        if (partition === failedPath) throw new Error(`${path} was synced again after its sync had failed`)
        if (++syncs !== k) return
        failedPath = partition
        throw systemError('EIO', 'fdatasync', path)
      }
      const codes = new Set<unknown>()
      await workload(log, oracle, 120, (error) => codes.add((error as { code?: unknown }).code))
      if (failedPath === undefined) throw new Error(`the workload has only ${syncs} syncs`)
      run.count('failed syncs')
      expect([...codes]).toEqual(['PARTITION_READ_ONLY'])
      const failed = Number(failedPath.at(-1))
      const states = log.engine.state('t').partitions
      expect(states.map((state) => state.status)).toEqual(failed === 0 ? ['read-only', 'ok'] : ['ok', 'read-only'])
      await log.advance(100)
      oracle.observe(log)
      // The other one goes on.
      expect(oracle.acked[1 - failed]).toBe(oracle.values[1 - failed]?.length)
      machine.disk.onOperation = undefined
      // First without a loss of power, so that the page cache may lie; then the power goes, and it may not have been believed.
      log.process.kill()
      log.letGo()
      const second = await opened(machine, fsync)
      oracle.check(second, run)
      await workload(second, oracle, 12, (error) => {
        throw error
      })
      await second.advance(50)
      oracle.observe(second)
      expect(oracle.acked).toEqual(oracle.values.map((values) => values.length))
      machine.losePower()
      second.letGo()
      run.count('losses of power')
      const third = await opened(machine, fsync)
      expect(third.engine.state('t').partitions.flatMap((partition) => partition.damaged)).toEqual([])
      oracle.check(third, run)
      await third.finish(third.engine.close())
      third.letGo()
    }
    run.print()
    expect(run.counts()['failed syncs']).toBe(50)
  })
})

describe('F6: the disk is full', () => {
  it('at every write of the log in turn: refused with an error that may be tried again, and it goes on by itself', async () => {
    const run = experiment('F6 ENOSPC at every write of the log')
    for (let k = 0; ; k++) {
      const machine = new SimulatedMachine({ seed: run.seed + k })
      const oracle = new Oracle()
      const log = await opened(machine, 'group')
      let writes = 0
      machine.disk.onOperation = ({ kind }) => {
        if (kind === 'write' && writes++ === k) machine.disk.capacity = machine.disk.usedBytes() + (k % 3) * 40
      }
      const codes = new Set<unknown>()
      await workload(log, oracle, 60, (error) => {
        codes.add((error as { code?: unknown }).code)
        expect((error as { retriable?: unknown }).retriable).toBe(true)
      })
      if (writes <= k) {
        machine.disk.onOperation = undefined
        await log.finish(log.engine.close())
        log.letGo()
        break
      }
      run.count('times full')
      for (const code of codes) run.count(`refused with ${String(code)}`)
      machine.disk.onOperation = undefined
      machine.disk.capacity = Number.POSITIVE_INFINITY
      // Nobody does anything; the log goes on by itself, and takes what is sent again.
      await log.advance(1000)
      oracle.observe(log)
      expect(oracle.acked).toEqual(oracle.values.map((values) => values.length))
      await workload(log, oracle, 6, (error) => {
        throw error
      })
      await log.advance(50)
      oracle.observe(log)
      expect(oracle.acked).toEqual(oracle.values.map((values) => values.length))
      machine.losePower()
      log.letGo()
      const again = await opened(machine, 'group')
      oracle.check(again, run)
      expect(again.engine.findings.flatMap((finding) => finding.damaged)).toEqual([])
      await again.finish(again.engine.close())
      again.letGo()
    }
    run.print()
    expect(run.counts()['times full']).toBeGreaterThan(50)
    expect(run.counts()['refused with DISK_FULL']).toBeGreaterThan(0)
  })

  it('at every write of a checkpoint in turn: it is never half written', async () => {
    const run = experiment('F6 ENOSPC at every write of a checkpoint')
    const payload = jsonPayload({ ends: [1, 2, 3] })
    for (let k = 0; ; k++) {
      const machine = new SimulatedMachine({ seed: run.seed + k })
      const { env } = machine.startProcess()
      let writes = 0
      machine.disk.onOperation = ({ kind }) => {
        if (kind === 'write' && writes++ === k) machine.disk.capacity = machine.disk.usedBytes() + 20
      }
      let durable = 0
      let refused = false
      try {
        const { log } = EpochLog.open(env, '/cp/q')
        for (let epoch = 0; epoch < 12; epoch++) {
          log.append(RecordType.intent, epoch, payload)
          log.append(RecordType.commit, epoch, payload)
          if (epoch === 6) {
            log.rewrite([
              { type: RecordType.start, epoch: 0, payload },
              { type: RecordType.commit, epoch, payload },
            ])
            durable = 7
            continue
          }
          const synced = log.sync()
          machine.clock.advance(10)
          await synced
          durable = epoch + 1
        }
      } catch (error) {
        expect((error as { code?: unknown }).code).toBe('ENOSPC')
        refused = true
      }
      if (!refused) break
      run.count('times full')
      machine.disk.onOperation = undefined
      machine.disk.capacity = Number.POSITIVE_INFINITY
      machine.losePower()
      const { records } = EpochLog.open(machine.startProcess().env, '/cp/q')
      const last = records.at(-1)
      expect(last === undefined ? 0 : last.epoch + 1).toBeGreaterThanOrEqual(durable)
      run.count('records checked', records.length)
    }
    run.print()
    expect(run.counts()['times full']).toBeGreaterThan(10)
  })
})
