import { expect, test } from 'vitest'
import { Doorbells } from '../../src/common/doorbell.js'
import { ChannelReader, ChannelWriter, createChannel, FrameType } from '../../src/exchange/channel.js'
import { BarrierInputs, type WatermarkedInput } from '../../src/worker/barrier-inputs.js'
import { NO_WATERMARK, type WatermarkPolicy } from '../../src/worker/protocol.js'

const input = (reader: ChannelReader, watermark = 0): WatermarkedInput => ({ reader, watermark })

test('every input has its turn to be the first', () => {
  const inputs = new BarrierInputs(
    [0, 1, 2].map(() => input(new ChannelReader(createChannel(2, 3, 1 << 12), new Doorbells()))),
    'min',
  )
  expect([0, 1, 2, 3, 4, 5, 6].map(() => inputs.turn())).toEqual([0, 1, 2, 0, 1, 2, 0])
})

test('an input whose barrier has come is not read before the barrier has come on all', () => {
  const bells = new Doorbells()
  const channels = [0, 1].map(() => createChannel(2, 3, 1 << 12))
  const [first, second] = channels.map((channel) => new ChannelWriter(channel, bells)) as [ChannelWriter, ChannelWriter]
  const inputs = new BarrierInputs(
    channels.map((channel) => input(new ChannelReader(channel, bells))),
    'min',
  )
  first.signal(FrameType.barrier, 4, 0)
  first.signal(FrameType.watermark, 5, 10)
  expect(inputs.next(0)).toBe(true)
  inputs.consume(0)
  expect(inputs.next(0)).toBe(false)
  expect(inputs.barrierComplete()).toBe(false)
  second.signal(FrameType.barrier, 4, 0)
  expect(inputs.next(1)).toBe(true)
  inputs.consume(1)
  expect(inputs.barrierComplete()).toBe(true)
  expect(inputs.epoch).toBe(4)
  inputs.nextEpoch()
  expect(inputs.next(0)).toBe(true)
  inputs.consume(0)
  // The other input has said nothing yet.
  expect(inputs.watermark).toBe(Number.NEGATIVE_INFINITY)
})

/** What the inputs make of one watermark a channel; `nodes`: the `withWatermark` that each channel's is of. */
function combined(policy: WatermarkPolicy, nodes: readonly number[], watermarks: readonly number[]): number {
  const bells = new Doorbells()
  const channels = nodes.map(() => createChannel(2, 3, 1 << 12))
  const inputs = new BarrierInputs(
    channels.map((channel, i) => input(new ChannelReader(channel, bells), nodes[i] as number)),
    policy,
  )
  channels.forEach((channel, i) => {
    if (watermarks[i] === undefined) return
    new ChannelWriter(channel, bells).signal(FrameType.watermark, 0, watermarks[i])
    expect(inputs.next(i)).toBe(true)
    inputs.consume(i)
  })
  return inputs.watermark
}

test('the watermark is the least of the partitions of one watermark, and of several by the policy', () => {
  expect(combined('min', [0, 0, 1], [10, 20, 30])).toBe(10)
  expect(combined('max', [0, 0, 1], [10, 20, 30])).toBe(30)
  expect(combined('max', [0, 0, 1, 1], [10, 20, 30, 5])).toBe(10)
  expect(combined('min', [0, 1], [10])).toBe(Number.NEGATIVE_INFINITY)
  expect(combined('max', [0, 1], [10])).toBe(10)
})

test('an input without a watermark holds nobody back, and alone says nothing of the time', () => {
  expect(combined('min', [0, NO_WATERMARK], [10, 5])).toBe(10)
  expect(combined('min', [NO_WATERMARK], [5])).toBe(Number.NEGATIVE_INFINITY)
})
