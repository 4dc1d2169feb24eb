import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HOST_SLOT } from '../../src/common/doorbell.js'
import { OFFSETS_TOPIC } from '../../src/log/internal-topics.js'
import { currentEpoch, endOfEpoch, type LeaderEpoch, withNextEpoch } from '../../src/log/leader-epochs.js'
import { LogEngine } from '../../src/log/log-engine.js'
import type { FsyncMode } from '../../src/log/log-writer.js'
import { createSharedLogMemory, LogMemory } from '../../src/log/shared-memory.js'
import { SimulatedMachine } from '../../src/testing/index.js'
import { RowsAppender } from './log-fixture.js'

describe('the epochs of a partition', () => {
  it('say of every offset of every epoch whether it still means the same record, however many there are', () => {
    const life = fc.record({ sent: fc.nat(9), lost: fc.nat(12), deleted: fc.nat(3) })
    fc.assert(
      fc.property(fc.array(life, { maxLength: 15 }), (lives) => {
        let epochs: readonly LeaderEpoch[] = []
        let log: string[] = []
        let start = 0
        /** What the log had in each epoch. */
        const had: string[][] = []
        for (const [n, { sent, lost, deleted }] of lives.entries()) {
          log = [...log, ...Array.from({ length: sent }, (_, i) => `${n}/${i}`)]
          had.push(log)
          start = Math.min(log.length, start + deleted)
          log = log.slice(0, Math.max(start, log.length - lost))
          epochs = withNextEpoch(epochs, currentEpoch(epochs) + 1, { logStartOffset: start, logEndOffset: log.length })
          expect(currentEpoch(epochs)).toBe(n + 1)
          expect(endOfEpoch(epochs, n + 1)).toBe(Number.POSITIVE_INFINITY)
          for (const [epoch, before] of had.entries()) {
            const end = endOfEpoch(epochs, epoch)
            for (let at = start; at < Math.min(before.length, log.length); at++) {
              if (at < end !== (before[at] === log[at])) throw new Error(`offset ${at} of epoch ${epoch}, end ${end}`)
            }
          }
        }
      }),
    )
  })

  it('are a hundred at most: what was done with may come again for it, nothing is passed over', () => {
    let epochs: readonly LeaderEpoch[] = []
    for (let n = 1; n <= 250; n++) {
      epochs = withNextEpoch(epochs, n, { logStartOffset: 0, logEndOffset: n * 10 })
      expect(epochs.length).toBe(Math.min(n, 100))
      for (const epoch of [0, n >> 1, n - 1]) {
        expect(endOfEpoch(epochs, epoch)).toBeLessThanOrEqual((epoch + 1) * 10)
      }
    }
    expect(endOfEpoch(epochs, 249)).toBe(2500)
  })
})

describe('a partition goes into its next epoch', () => {
  const POINTS = '/mill/log/recovery-points.json'
  let machine: SimulatedMachine
  let changes: string[]
  let engines: LogEngine[]

  beforeEach(() => {
    machine = new SimulatedMachine({ seed: 1 })
    changes = []
    engines = []
  })
  afterEach(() => machine.losePower())

  async function open(fsync: FsyncMode): Promise<{ readonly engine: LogEngine; send(): void; epochs(): unknown }> {
    changes = []
    machine.disk.onOperation = ({ kind, path }) => {
      if (kind === 'rename') changes.push(path)
    }
    const { env } = machine.startProcess()
    const memory = new LogMemory(createSharedLogMemory(8 * 1024 * 1024), HOST_SLOT)
    const engine = await LogEngine.open({ env, dir: '/mill', fsync, memory, spillDirectory: '/spill' })
    machine.disk.onOperation = undefined
    engines.push(engine)
    return {
      engine,
      send() {
        new RowsAppender(engine.describe('t'), memory).append(['a', 'b'])
        engine.wake()
      },
      epochs: () => engine.describe('t').partitions[0]?.leaderEpochs,
    }
  }

  async function close(engine: LogEngine): Promise<void> {
    let isClosed = false
    void engine.close().then(() => {
      isClosed = true
    })
    while (!isClosed) {
      await new Promise((resolve) => setImmediate(resolve))
      machine.clock.fireNext(Number.POSITIVE_INFINITY)
    }
  }

  async function begun(fsync: FsyncMode, group = true) {
    const life = await open(fsync)
    life.engine.createTopic({ name: 't' })
    if (group) life.engine.createTopic({ name: OFFSETS_TOPIC })
    life.send()
    return life
  }

  it('after a loss of power in the modes that acknowledge without a sync, and it is on the disk before anybody appends', async () => {
    for (const fsync of ['never', 'interval'] as const) {
      machine = new SimulatedMachine({ seed: 1 })
      await begun(fsync)
      machine.losePower('nothing')
      expect((await open(fsync)).epochs()).toEqual([{ epoch: 1, startOffset: 0 }])
      machine.losePower('nothing')
      const third = await open('group')
      expect(third.epochs()).toEqual([{ epoch: 2, startOffset: 0 }])
      // From here on everything that is acknowledged is on the disk.
      machine.losePower('nothing')
      expect((await open('never')).epochs()).toEqual([{ epoch: 2, startOffset: 0 }])
      machine.losePower('nothing')
      expect((await open('never')).epochs()).toEqual([{ epoch: 3, startOffset: 0 }])
    }
  })

  it('not after a clean stop, which costs no write at the next opening; the epochs of before stay', async () => {
    await begun('never')
    machine.losePower('all', 'all')
    const second = await open('never')
    expect(changes).toContain(POINTS)
    expect(second.epochs()).toEqual([{ epoch: 1, startOffset: 2 }])
    await close(second.engine)
    const third = await open('never')
    expect(changes).not.toContain(POINTS)
    expect(third.epochs()).toEqual([{ epoch: 1, startOffset: 2 }])
  })

  it('not where no group keeps anything', async () => {
    await begun('never', false)
    machine.losePower('nothing')
    expect((await open('never')).epochs()).toEqual([])
    expect(changes).not.toContain(POINTS)
  })

  it('above all that there were where the epochs themselves are lost', async () => {
    await begun('never')
    machine.losePower('all', 'all')
    await close((await open('never')).engine)
    machine.disk.plant(POINTS, Buffer.from('{ damaged'))
    const [epoch] = (await open('never')).epochs() as [LeaderEpoch]
    expect(epoch.startOffset).toBe(2)
    expect(epoch.epoch).toBeGreaterThan(1000)
  })
})
