import { describe, expect, it, vi } from 'vitest'
import { Doorbells } from '../../src/common/doorbell.js'
import { ChannelWriter, createChannel, FrameType } from '../../src/exchange/channel.js'
import { type HostSink, HostSinkFeed } from '../../src/execution/host-sink.js'

/** A feed of so many tasks; `given` has the first byte of each block, which tells its task and number. */
function openFeed(tasks: number, rows?: (n: number, task: number) => void | Promise<void>) {
  const bells = new Doorbells()
  const channels = Array.from({ length: tasks }, (_, task) => createChannel(2 + task, 0, 65_536))
  const writers = channels.map((channel) => new ChannelWriter(channel, bells))
  const given: [task: number, n: number, epoch: number][] = []
  const reached: number[] = []
  const failures: unknown[] = []
  const sink: HostSink = {
    rows({ views, position }, epoch, task) {
      const n = views.u8[position] as number
      given.push([task, n, epoch])
      return rows?.(n, task)
    },
  }
  const feed = new HostSinkFeed(
    channels,
    bells,
    sink,
    (epoch) => reached.push(epoch),
    (error) => failures.push(error),
  )
  return {
    feed,
    given,
    reached,
    failures,
    put(task: number, n: number, epoch = 0): void {
      const writer = writers[task] as ChannelWriter
      const position = writer.reserve(8)
      if (position < 0) throw new Error('the ring is full')
      writer.views.u8[position] = n
      writer.publish(position, FrameType.data, 8, epoch, 0, 0)
    },
    barrier(task: number, epoch: number): void {
      expect((writers[task] as ChannelWriter).signal(FrameType.barrier, epoch, 0)).toBe(true)
    },
  }
}

describe('what feeds a sink in the host', () => {
  it('gives the blocks of each task in their order, and says that an epoch is reached when every task has come to its end', () => {
    const { feed, given, reached, put, barrier } = openFeed(2)
    put(0, 1)
    put(0, 2)
    put(1, 9)
    barrier(0, 0)
    feed.rung()
    expect(given).toStrictEqual([
      [0, 1, 0],
      [0, 2, 0],
      [1, 9, 0],
    ])
    expect(reached).toStrictEqual([])
    barrier(1, 0)
    put(1, 3, 1)
    feed.rung()
    expect(reached).toStrictEqual([0])
    expect(given.at(-1)).toStrictEqual([1, 3, 1])
    barrier(0, 1)
    barrier(1, 1)
    feed.rung()
    expect(reached).toStrictEqual([0, 1])
  })

  it('lets the event loop breathe between many blocks, and loses none', async () => {
    const { feed, given, reached, put, barrier } = openFeed(1)
    for (let n = 0; n < 200; n++) put(0, n)
    barrier(0, 0)
    feed.rung()
    // Not all in one turn, and rung in between it does not begin twice.
    expect(given.length).toBeLessThan(200)
    feed.rung()
    await vi.waitFor(() => expect(reached).toStrictEqual([0]))
    expect(given.map(([, n]) => n)).toStrictEqual(Array.from({ length: 200 }, (_, n) => n))
  })

  it('waits for a sink that gives a promise, and gives it one block at a time', async () => {
    const ends: (() => void)[] = []
    const { feed, given, reached, put, barrier } = openFeed(1, () => new Promise((resolve) => ends.push(resolve)))
    put(0, 1)
    put(0, 2)
    barrier(0, 0)
    feed.rung()
    feed.rung()
    await new Promise((resolve) => setImmediate(resolve))
    expect(given).toHaveLength(1)
    ends[0]?.()
    await vi.waitFor(() => expect(given).toHaveLength(2))
    expect(reached).toStrictEqual([])
    ends[1]?.()
    await vi.waitFor(() => expect(reached).toStrictEqual([0]))
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('no')
      },
    ],
    ['rejects', () => Promise.reject(new Error('no'))],
  ])('tells once of a sink that %s, and gives it nothing more', async (_how, fails) => {
    const { feed, given, reached, failures, put, barrier } = openFeed(1, fails)
    put(0, 1)
    put(0, 2)
    barrier(0, 0)
    feed.rung()
    await vi.waitFor(() => expect(failures).toHaveLength(1))
    feed.rung()
    await new Promise((resolve) => setImmediate(resolve))
    expect([given.length, reached, failures]).toStrictEqual([1, [], [new Error('no')]])
  })

  it('gives nothing more once it is closed', () => {
    const { feed, given, reached, put, barrier } = openFeed(1)
    put(0, 1)
    feed.rung()
    void feed.close()
    put(0, 2)
    barrier(0, 0)
    feed.rung()
    expect([given.length, reached]).toStrictEqual([1, []])
  })
})
