import { expect, test } from 'vitest'
import { Doorbells } from '../../src/common/doorbell.js'
import { ChannelReader, ChannelWriter, createChannel, FrameType } from '../../src/exchange/channel.js'
import { BarrierInputs } from '../../src/worker/barrier-inputs.js'

test('every input has its turn to be the first', () => {
  const inputs = new BarrierInputs(
    [0, 1, 2].map(() => new ChannelReader(createChannel(2, 3, 1 << 12), new Doorbells())),
  )
  expect([0, 1, 2, 3, 4, 5, 6].map(() => inputs.turn())).toEqual([0, 1, 2, 0, 1, 2, 0])
})

test('an input whose barrier has come is not read before the barrier has come on all', () => {
  const bells = new Doorbells()
  const channels = [0, 1].map(() => createChannel(2, 3, 1 << 12))
  const [first, second] = channels.map((channel) => new ChannelWriter(channel, bells)) as [ChannelWriter, ChannelWriter]
  const inputs = new BarrierInputs(channels.map((channel) => new ChannelReader(channel, bells)))
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
