import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Doorbells } from '../../src/common/doorbell.js'
import {
  BARRIER_FINAL,
  BARRIER_SNAPSHOT,
  ChannelMemory,
  ChannelReader,
  ChannelWriter,
  createChannel,
  FrameType,
} from '../../src/exchange/channel.js'

const WRITER = 2
const READER = 3

function openChannel(ringBytes = 4096) {
  const bells = new Doorbells()
  const channel = createChannel(WRITER, READER, ringBytes)
  return { bells, channel, writer: new ChannelWriter(channel, bells), reader: new ChannelReader(channel, bells) }
}

/** A frame whose every byte is known from its number; false where there is no room. */
function put(writer: ChannelWriter, n: number, bytes: number): boolean {
  const position = writer.reserve(bytes)
  if (position < 0) return false
  for (let i = 0; i < bytes; i++) writer.views.u8[position + i] = (n + i) & 255
  writer.publish(position, FrameType.data, bytes, n, n * 10, 0)
  return true
}

function expectFrame(reader: ChannelReader, n: number, bytes: number): void {
  expect(reader.next()).toBe(true)
  expect([reader.type, reader.bytes, reader.epoch, reader.watermark]).toEqual([FrameType.data, bytes, n, n * 10])
  for (let i = 0; i < bytes; i++) {
    if (reader.views.u8[reader.position + i] !== ((n + i) & 255)) throw new Error(`byte ${i} of frame ${n} is torn`)
  }
}

describe('a channel', () => {
  it('gives frames in their order, each as it was written', () => {
    const { writer, reader } = openChannel()
    expect(reader.isEmpty()).toBe(true)
    expect(reader.next()).toBe(false)
    put(writer, 1, 100)
    expect(writer.signal(FrameType.watermark, 1, Number.NEGATIVE_INFINITY)).toBe(true)
    expect(writer.signal(FrameType.barrier, 7, 0, BARRIER_FINAL | BARRIER_SNAPSHOT)).toBe(true)
    expectFrame(reader, 1, 100)
    // Asking again before the release finds the same frame.
    expectFrame(reader, 1, 100)
    reader.release()
    expect(reader.next()).toBe(true)
    expect([reader.type, reader.bytes, reader.watermark]).toEqual([FrameType.watermark, 0, Number.NEGATIVE_INFINITY])
    reader.release()
    expect(reader.next()).toBe(true)
    expect([reader.type, reader.epoch, reader.flag]).toEqual([FrameType.barrier, 7, 3])
    reader.release()
    expect(reader.next()).toBe(false)
    expect(reader.isEmpty()).toBe(true)
  })

  it('shows nothing of a frame that was reserved and not published', () => {
    const { writer, reader } = openChannel()
    writer.reserve(64)
    expect(reader.next()).toBe(false)
    // The next one takes the same place.
    put(writer, 3, 64)
    expectFrame(reader, 3, 64)
  })

  it('fills the end of the ring with a pad, so that a frame lies in one piece', () => {
    const { writer, reader } = openChannel(4096)
    const positions = new Set<number>()
    // 1000 bytes are 33 units with the header; 128 units do not divide by that.
    for (let n = 0; n < 50; n++) {
      expect(put(writer, n, 1000)).toBe(true)
      expectFrame(reader, n, 1000)
      expect(reader.position + 1000).toBeLessThanOrEqual(reader.views.u8.length)
      positions.add(reader.position)
      reader.release()
    }
    // Always the same three places: a fourth frame would reach beyond the end.
    expect(positions.size).toBe(3)
  })

  it('says no when it is full, and rings the writer once there is room', () => {
    const { bells, writer, reader } = openChannel(4096)
    let n = 0
    while (put(writer, n, 480)) n += 1
    expect(n).toBe(8)
    expect(writer.signal(FrameType.watermark, 0, 0)).toBe(false)
    const before = bells.sequence(WRITER)
    expectFrame(reader, 0, 480)
    expect(bells.sequence(WRITER)).toBe(before)
    reader.release()
    expect(bells.sequence(WRITER)).toBe(before + 1)
    expect(put(writer, n, 480)).toBe(true)
    // Nobody waits now: no ring.
    reader.next()
    reader.release()
    expect(bells.sequence(WRITER)).toBe(before + 1)
  })

  it('rings the reader with each frame', () => {
    const { bells, writer } = openChannel()
    const before = bells.sequence(READER)
    put(writer, 0, 8)
    writer.signal(FrameType.barrier, 0, 0)
    expect(bells.sequence(READER)).toBe(before + 2)
  })

  it('grants the greatest payload wherever the ring stands, once it is empty', () => {
    const { writer, reader } = openChannel(4096)
    for (let offset = 0; offset < 300; offset++) {
      expect(put(writer, offset, offset % 3 === 0 ? 0 : 32)).toBe(true)
      reader.next()
      reader.release()
      expect(put(writer, offset, writer.maxPayloadBytes)).toBe(true)
      expectFrame(reader, offset, writer.maxPayloadBytes)
      reader.release()
    }
    expect(() => writer.reserve(writer.maxPayloadBytes + 1)).toThrow(/exceeds/)
  })

  it('goes on where counters of 32 bits begin anew', () => {
    const { bells, channel } = openChannel(4096)
    const control = new Int32Array(channel.buffer)
    const almost = 0x7fffffff - 100
    // Multiples of the ring's 128 units keep the place; both counters stand just below the overflow.
    control[0] = almost - (almost % 128)
    control[16] = control[0] as number
    const writer = new ChannelWriter(channel, bells)
    const reader = new ChannelReader(channel, bells)
    for (let n = 0; n < 200; n++) {
      expect(put(writer, n, (n * 37) % 900)).toBe(true)
      expectFrame(reader, n, (n * 37) % 900)
      reader.release()
    }
    expect(control[0]).toBeLessThan(0)
  })

  it('is a queue, whatever the sizes and whoever is quicker', () => {
    const step = fc.oneof(
      fc.record({ put: fc.integer({ min: 0, max: 2016 }) }),
      fc.record({ put: fc.constantFrom(0, 1, 31, 32, 33, 64, 2015, 2016) }),
      fc.record({ take: fc.integer({ min: 1, max: 8 }) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const { writer, reader, bells } = openChannel(4096)
        const model: { n: number; bytes: number }[] = []
        let n = 0
        let refused = false
        for (const one of steps) {
          if ('put' in one) {
            if (put(writer, n, one.put)) model.push({ n, bytes: one.put })
            else {
              // An empty ring refuses nothing.
              expect(model.length).toBeGreaterThan(0)
              refused = true
            }
            n += 1
          } else {
            const before = bells.sequence(WRITER)
            let taken = 0
            for (; taken < one.take && model.length > 0; taken++) {
              const expected = model.shift() as { n: number; bytes: number }
              expectFrame(reader, expected.n, expected.bytes)
              reader.release()
            }
            if (refused && taken > 0) {
              expect(bells.sequence(WRITER)).toBeGreaterThan(before)
              refused = false
            }
            if (model.length === 0) expect(reader.next()).toBe(false)
          }
        }
        for (const { n: number, bytes } of model) {
          expectFrame(reader, number, bytes)
          reader.release()
        }
        expect(reader.next()).toBe(false)
      }),
      { numRuns: 200 },
    )
  })

  it('brings 100 000 frames from thread to thread, none lost, repeated or reordered', async () => {
    const bells = new Doorbells()
    const channel = createChannel(WRITER, READER, 64 * 1024)
    const thread = new Worker(new URL('./channel-thread.js', import.meta.url), {
      workerData: { channel, bells: bells.buffer },
    })
    try {
      const heard = (): Promise<unknown> =>
        new Promise((resolve, reject) => {
          thread.once('error', reject)
          thread.once('message', resolve)
        })
      expect(await heard()).toBe('ready')
      const answer = heard()
      const writer = new ChannelWriter(channel, bells)
      let waits = 0
      for (let n = 0; n < 100_000; n++) {
        const bytes = (n * 7919) % (n % 1000 === 0 ? 20_000 : 300)
        for (;;) {
          const seen = bells.sequence(WRITER)
          const position = writer.reserve(bytes)
          if (position >= 0) {
            writer.views.u8.fill(n & 255, position, position + bytes)
            writer.publish(position, FrameType.data, bytes, n, 0, 0)
            break
          }
          waits += 1
          bells.park(WRITER, seen, 1000)
        }
      }
      while (!writer.signal(FrameType.barrier, 0, 0, BARRIER_FINAL)) bells.park(WRITER, bells.sequence(WRITER), 1)
      expect(await answer).toEqual({ frames: 100_000, faults: [] })
      expect(waits).toBeGreaterThan(0)
    } finally {
      await thread.terminate()
    }
  })
})

describe('the memory of channels', () => {
  it('is cut into channels that do not touch each other', () => {
    const bells = new Doorbells()
    const memory = new ChannelMemory()
    const ends = Array.from({ length: 11 }, () => {
      const channel = memory.create(WRITER, READER)
      return { writer: new ChannelWriter(channel, bells), reader: new ChannelReader(channel, bells) }
    })
    expect(new Set(ends.map(({ writer }) => writer.views.buffer)).size).toBe(2)
    // Of each ring all is written, to its last byte.
    for (const [n, { writer }] of ends.entries()) {
      expect(put(writer, n, writer.maxPayloadBytes)).toBe(true)
      expect(put(writer, n + 100, writer.maxPayloadBytes)).toBe(true)
    }
    for (const [n, { writer, reader }] of ends.entries()) {
      for (const frame of [n, n + 100]) {
        expectFrame(reader, frame, writer.maxPayloadBytes)
        reader.release()
      }
    }
  })
})
