import { describe, expect, it } from 'vitest'
import {
  type CheckpointIdentity,
  type EpochEnd,
  outcomeOfCommit,
  QueryCheckpoint,
} from '../../src/execution/query-checkpoint.js'
import { envOf, MemoryFileSystem } from '../log/memory-file-system.js'

const identity: CheckpointIdentity = {
  queryId: 'q1',
  stateSignature: 'aggregate(key)',
  source: 'topic[clicks]',
  topics: [{ name: 'clicks', id: 'id-1', partitions: 2 }],
  startedAt: 1000,
  starts: [3, 4],
}

const endAt = (offset: number): EpochEnd => ({
  positions: [
    { index: 0, offset, maxEventTime: offset * 10 },
    { index: 1, offset: 4, maxEventTime: Number.NEGATIVE_INFINITY },
  ],
  closedUntil: new Map([[1, offset === 0 ? Number.NEGATIVE_INFINITY : offset]]),
})
const block = (n: number): Uint8Array => new Uint8Array(16).fill(n)
const open = (fs: MemoryFileSystem): QueryCheckpoint => QueryCheckpoint.open(envOf(fs), '/cp')
const PATH = '/cp/epochs.log'

type Step = (cp: QueryCheckpoint) => void | Promise<void>

/** Three epochs as a run writes them, step by step: intent, state, output, commit, delivered. */
const steps: readonly Step[] = [
  (cp) => cp.claim(identity, '/cp'),
  ...[0, 1, 2].flatMap((epoch): Step[] => [
    (cp) => cp.intent(epoch, [10 * (epoch + 1), 4], epoch === 2),
    (cp) => cp.state(epoch, 1, block(epoch), false),
    (cp) => cp.output(epoch, block(100 + epoch)),
    (cp) => cp.commit(epoch, endAt(10 * (epoch + 1))),
    (cp) => cp.delivered(epoch),
  ]),
]

describe('a transaction', () => {
  const [rows, givenUp] = [1, 2].map((producerId) => ({ producerId, producerEpoch: 7 })) as [never, never]

  it.each([false, true])(
    'is committed by the record that names it: the commit of its epoch, or that this was delivered (%s)',
    async (delivered) => {
      const fs = new MemoryFileSystem()
      const cp = open(fs)
      cp.claim(identity, '/cp')
      cp.intent(0, [10, 4], false)
      cp.commit(0, { ...endAt(10), transaction: rows })
      await cp.sync()
      if (delivered) cp.delivered(0, givenUp)
      await cp.sync()
      cp.close()
      const again = open(fs)
      const { recovered } = again
      expect(recovered.delivered).toBe(delivered)
      expect(outcomeOfCommit(recovered, rows)).toBe('commit')
      expect(outcomeOfCommit(recovered, givenUp)).toBe(delivered ? 'commit' : 'abort')
      // The next epoch names another, or none.
      again.forgetRecovered()
      again.intent(1, [20, 4], false)
      again.commit(1, endAt(20))
      await again.sync()
      again.close()
      expect(outcomeOfCommit(open(fs).recovered, givenUp)).toBe('abort')
    },
  )
})

describe('an epoch that is run again', () => {
  it('has the state and rows of its second attempt alone, whatever the first has left behind its intent', async () => {
    const fs = new MemoryFileSystem()
    const first = open(fs)
    first.claim(identity, '/cp')
    first.intent(0, [10, 4], false)
    first.state(0, 1, block(1), false)
    first.output(0, block(1))
    await first.sync()
    const left = fs.afterPowerLoss()
    const second = open(left)
    expect(second.recovered.intent).toEqual({ epoch: 0, ends: [10, 4], final: false })
    second.forgetRecovered()
    second.state(0, 1, block(2), false)
    second.output(0, block(2))
    second.commit(0, endAt(10))
    await second.sync()
    const { recovered } = open(left.afterPowerLoss())
    expect(recovered.committed?.epoch).toBe(0)
    expect(recovered.state.map((s) => s.block[0])).toEqual([2])
    expect(recovered.output.map((bytes) => bytes[0])).toEqual([2])
  })
})

describe('after a crash', () => {
  it('at any step a checkpoint says what was committed, delivered and intended', async () => {
    for (let done = 0; done <= steps.length; done++) {
      const fs = new MemoryFileSystem()
      const cp = open(fs)
      for (const step of steps.slice(0, done)) await step(cp)
      await cp.sync()
      const { recovered } = open(fs.afterPowerLoss())
      const inEpochs = Math.max(0, done - 1)
      const epochs = Math.floor(inEpochs / 5)
      const within = inEpochs % 5
      const committed = within === 4 ? epochs : epochs - 1
      expect(recovered.identity).toEqual(done === 0 ? undefined : identity)
      expect(recovered.committed).toEqual(
        committed < 0 ? undefined : { epoch: committed, end: endAt(10 * (committed + 1)) },
      )
      // Of what comes behind the last commit nothing counts; the rows are those of the epoch that was committed last.
      expect(recovered.state.map((s) => [s.stage, s.block[0]])).toEqual(
        Array.from({ length: committed + 1 }, (_, i) => [1, i]),
      )
      expect(recovered.output.map((bytes) => bytes[0])).toEqual(committed < 0 ? [] : [100 + committed])
      expect(recovered.delivered).toBe(within !== 4)
      expect(recovered.intent).toEqual(
        within >= 1 && within < 4 ? { epoch: epochs, ends: [10 * (epochs + 1), 4], final: epochs === 2 } : undefined,
      )
    }
  })

  it('at any byte it is as after one of the steps before', async () => {
    const fs = new MemoryFileSystem()
    const cp = open(fs)
    for (const step of steps) await step(cp)
    await cp.sync()
    const content = fs.readFile(PATH)
    let last = -1
    for (let bytes = 8; bytes <= content.length; bytes++) {
      const torn = new MemoryFileSystem()
      torn.makeDirectory('/cp')
      torn.replaceFile(PATH, content.slice(0, bytes))
      const { committed, state, output } = open(torn).recovered
      const epoch = committed?.epoch ?? -1
      expect(epoch === last || epoch === last + 1).toBe(true)
      last = epoch
      expect(state.length).toBe(epoch + 1)
      expect(output.length).toBe(epoch < 0 ? 0 : 1)
    }
    expect(last).toBe(2)
  })

  it('an intent that was written again replaces what its first attempt left', async () => {
    const fs = new MemoryFileSystem()
    const cp = open(fs)
    cp.claim(identity, '/cp')
    cp.intent(0, [5, 4], false)
    cp.state(0, 1, block(1), false)
    cp.output(0, block(1))
    cp.intent(0, [7, 4], false)
    cp.state(0, 1, block(2), false)
    cp.commit(0, endAt(7))
    await cp.sync()
    const { recovered } = open(fs)
    expect(recovered.state.map((s) => s.block[0])).toEqual([2])
    expect(recovered.output).toEqual([])
  })
})

describe('another query', () => {
  it.each([
    ['CHECKPOINT_STATE_MISMATCH', { stateSignature: 'aggregate(other)' }],
    ['CHECKPOINT_SOURCE_MISMATCH', { source: 'topic[other]' }],
    ['CHECKPOINT_TOPIC_RECREATED', { topics: [{ name: 'clicks', id: 'id-2', partitions: 2 }] }],
  ])('is refused with %s', async (code, changes) => {
    const fs = new MemoryFileSystem()
    const cp = open(fs)
    cp.claim(identity, '/cp')
    await cp.sync()
    expect(() => open(fs).claim({ ...identity, ...changes }, '/cp')).toThrow(expect.objectContaining({ code }))
  })

  it('that differs in its id, its start or its partitions may go on', async () => {
    const fs = new MemoryFileSystem()
    const cp = open(fs)
    cp.claim(identity, '/cp')
    await cp.sync()
    const topics = [{ name: 'clicks', id: 'id-1', partitions: 5 }]
    open(fs).claim({ ...identity, queryId: 'q2', startedAt: 9, starts: [0, 0], topics }, '/cp')
    expect(open(fs).recovered.identity).toEqual(identity)
  })
})

describe('a snapshot', () => {
  const big = (n: number): Uint8Array => new Uint8Array(1 << 20).fill(n)

  it('is asked for when the past outweighs the state, and takes its place', async () => {
    const fs = new MemoryFileSystem()
    const cp = open(fs)
    cp.claim(identity, '/cp')
    let epoch = 0
    for (; !cp.wantsSnapshot(); epoch++) {
      cp.intent(epoch, [epoch, 4], false)
      cp.state(epoch, 1, big(epoch), false)
      cp.commit(epoch, endAt(epoch))
      await cp.sync()
      cp.delivered(epoch)
    }
    expect(epoch).toBe(16)
    cp.intent(epoch, [epoch, 4], false)
    cp.beginSnapshot()
    const state = [
      { stage: 1, block: block(42) },
      { stage: 1, block: block(43) },
    ]
    for (const { stage, block: bytes } of state) cp.state(epoch, stage, bytes, true)
    cp.compact(epoch, [epoch, 4], state, [block(7)], endAt(epoch))
    expect(fs.readFile(PATH).length).toBeLessThan(1000)
    expect(cp.wantsSnapshot()).toBe(false)

    const { recovered } = open(fs.afterPowerLoss())
    expect(recovered.identity).toEqual(identity)
    expect(recovered.committed).toEqual({ epoch, end: endAt(epoch) })
    expect(recovered.state.map((s) => [s.stage, s.block[0]])).toEqual([
      [1, 42],
      [1, 43],
    ])
    expect([recovered.output.length, recovered.delivered, recovered.intent]).toEqual([1, false, undefined])

    // What follows is added to it.
    cp.delivered(epoch)
    cp.intent(epoch + 1, [epoch + 1, 4], false)
    cp.state(epoch + 1, 1, block(44), false)
    cp.commit(epoch + 1, endAt(epoch + 1))
    await cp.sync()
    const after = open(fs.afterPowerLoss()).recovered
    expect(after.state.map((s) => s.block[0])).toEqual([42, 43, 44])
    expect(after.committed?.epoch).toBe(epoch + 1)
  })

  it('of nothing leaves nothing', () => {
    const fs = new MemoryFileSystem()
    const cp = open(fs)
    cp.claim(identity, '/cp')
    cp.compact(3, [1, 4], [], [], endAt(1))
    expect(open(fs).recovered.state).toEqual([])
    expect(open(fs).recovered.committed?.epoch).toBe(3)
  })
})

it('without a directory a checkpoint remembers nothing and minds nothing', async () => {
  const cp = QueryCheckpoint.open(envOf(new MemoryFileSystem()), undefined)
  expect(cp.isDurable).toBe(false)
  for (const step of steps) await step(cp)
  expect(cp.wantsSnapshot()).toBe(false)
  cp.close()
  expect(cp.recovered.committed).toBeUndefined()
})
