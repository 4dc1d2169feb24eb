import { assert } from '../common/assert.js'
import type { Doorbells } from '../common/doorbell.js'
import { type BufferViews, viewsOf } from '../types/block.js'

/**
 * A channel carries frames from one task to another through shared memory: one writer, one reader, no
 * lock, nothing lost, repeated or reordered. A frame lies in one piece, so that the block in it is read in
 * place; where it does not fit before the end of the ring, a pad frame fills the rest.
 *
 *   // offset  size  channel, from its start in the buffer
 *   //      0     4  written   units of 32 bytes ever written, modulo 2^32
 *   //     64     4  read      units of 32 bytes ever released, modulo 2^32
 *   //    128     4  waiting   1 while the writer waits for room
 *   //    192     …  ring, a power of two
 *
 *   // offset  size  frame, a multiple of 32 bytes
 *   //      0     4  type
 *   //      4     4  payload bytes
 *   //      8     8  epoch           float64
 *   //     16     8  watermark       float64, epoch milliseconds
 *   //     24     8  flag            float64, of a barrier: BARRIER_FINAL | BARRIER_SNAPSHOT
 *   //     32     …  payload: a block
 */
export const FrameType = { none: 0, pad: 1, data: 2, watermark: 3, barrier: 4 } as const
export type FrameType = (typeof FrameType)[keyof typeof FrameType]

/** The input has ended. */
export const BARRIER_FINAL = 1
/** The whole state is to be written down, not only what changed. */
export const BARRIER_SNAPSHOT = 2

const UNIT = 32
const WRITTEN = 0
const READ = 16
const WAITING = 32
const RING_START = 192

/** Room for a block of the greatest record (1 MiB) and as much again. */
export const CHANNEL_BYTES = 4 << 20
/** The greatest payload of a channel of that size, and so the greatest row of a query. */
export const FRAME_PAYLOAD_BYTES_MAX = (CHANNEL_BYTES / UNIT / 2 - 1) * UNIT

/** What both ends need to know; survives `postMessage`. */
export interface ChannelDescriptor {
  readonly buffer: SharedArrayBuffer
  /** Where in the buffer the channel begins, a multiple of 64. */
  readonly start: number
  readonly ringBytes: number
  /** Doorbell slots of the threads at the two ends. */
  readonly writerSlot: number
  readonly readerSlot: number
}

/** Of one buffer: above 32 MiB an allocation is always fresh pages, while below an allocator reuses what was freed, and has to clear it. */
const SLAB_CHANNELS = 8
const STRIDE = CHANNEL_BYTES + 4096

/**
 * The memory of a run's channels. Most of them never carry much, so only the pages that are written to may cost anything: 4 MiB for each by
 * itself would be cleared, for a millisecond or more, and stay in memory as a whole.
 */
export class ChannelMemory {
  #slab: SharedArrayBuffer | undefined
  #used = 0

  create(writerSlot: number, readerSlot: number): ChannelDescriptor {
    if (this.#slab === undefined || this.#used === SLAB_CHANNELS) {
      this.#slab = new SharedArrayBuffer(SLAB_CHANNELS * STRIDE)
      this.#used = 0
    }
    const start = this.#used++ * STRIDE
    return { buffer: this.#slab, start, ringBytes: CHANNEL_BYTES, writerSlot, readerSlot }
  }
}

/** A channel with memory of its own. */
export function createChannel(writerSlot: number, readerSlot: number, ringBytes: number): ChannelDescriptor {
  assert((ringBytes & (ringBytes - 1)) === 0 && ringBytes >= 4096, `ring of ${ringBytes} bytes is not a power of two`)
  return { buffer: new SharedArrayBuffer(RING_START + ringBytes), start: 0, ringBytes, writerSlot, readerSlot }
}

/** The words before the ring. */
function controlOf({ buffer, start }: ChannelDescriptor): Int32Array {
  return new Int32Array(buffer, start, RING_START / 4)
}

export class ChannelWriter {
  readonly views: BufferViews
  readonly #control: Int32Array
  readonly #words: Int32Array
  readonly #ring: number
  readonly #units: number
  readonly #bells: Doorbells
  readonly #readerSlot: number
  #written: number

  constructor(channel: ChannelDescriptor, bells: Doorbells) {
    this.views = viewsOf(channel.buffer)
    this.#control = controlOf(channel)
    this.#words = this.views.i32
    this.#ring = channel.start + RING_START
    this.#units = channel.ringBytes / UNIT
    this.#bells = bells
    this.#readerSlot = channel.readerSlot
    this.#written = Atomics.load(this.#control, WRITTEN)
  }

  /** The greatest payload that `reserve` can ever grant. */
  get maxPayloadBytes(): number {
    return (this.#units / 2 - 1) * UNIT
  }

  /**
   * Byte position for a payload of `bytes`, or -1 where the reader has to make room first (it rings this
   * thread's bell when it does). Nothing is visible before `publish`.
   */
  reserve(bytes: number): number {
    assert(bytes <= this.maxPayloadBytes, `frame of ${bytes} bytes exceeds ${this.maxPayloadBytes}`)
    const need = 1 + Math.ceil(bytes / UNIT)
    let at = this.#written & (this.#units - 1)
    const toEnd = this.#units - at
    const total = need > toEnd ? toEnd + need : need
    if (this.#room() < total) {
      Atomics.store(this.#control, WAITING, 1)
      if (this.#room() < total) return -1
      Atomics.store(this.#control, WAITING, 0)
    }
    if (need > toEnd) {
      const header = (this.#ring + at * UNIT) >> 2
      this.#words[header] = FrameType.pad
      this.#words[header + 1] = (toEnd - 1) * UNIT
      this.#written = (this.#written + toEnd) | 0
      at = 0
    }
    return this.#ring + at * UNIT + UNIT
  }

  /** Makes the frame whose payload was reserved at `position` visible, and wakes the reader. */
  publish(position: number, type: FrameType, bytes: number, epoch: number, watermark: number, flag: number): void {
    const header = position - UNIT
    this.#words[header >> 2] = type
    this.#words[(header >> 2) + 1] = bytes
    this.views.f64[(header >> 3) + 1] = epoch
    this.views.f64[(header >> 3) + 2] = watermark
    this.views.f64[(header >> 3) + 3] = flag
    this.#written = (this.#written + 1 + Math.ceil(bytes / UNIT)) | 0
    Atomics.store(this.#control, WRITTEN, this.#written)
    this.#bells.ring(this.#readerSlot)
  }

  /** A frame without a payload; false where there is no room. */
  signal(type: FrameType, epoch: number, watermark: number, flag = 0): boolean {
    const position = this.reserve(0)
    if (position < 0) return false
    this.publish(position, type, 0, epoch, watermark, flag)
    return true
  }

  #room(): number {
    return this.#units - ((this.#written - Atomics.load(this.#control, READ)) | 0)
  }
}

export class ChannelReader {
  readonly views: BufferViews
  /** Of the frame that `next` found. */
  type: FrameType = FrameType.none
  /** Byte position of the payload, and its length. */
  position = 0
  bytes = 0
  epoch = 0
  watermark = 0
  flag = 0
  readonly #control: Int32Array
  readonly #words: Int32Array
  readonly #ring: number
  readonly #units: number
  readonly #bells: Doorbells
  readonly #writerSlot: number
  #read: number

  constructor(channel: ChannelDescriptor, bells: Doorbells) {
    this.views = viewsOf(channel.buffer)
    this.#control = controlOf(channel)
    this.#words = this.views.i32
    this.#ring = channel.start + RING_START
    this.#units = channel.ringBytes / UNIT
    this.#bells = bells
    this.#writerSlot = channel.writerSlot
    this.#read = Atomics.load(this.#control, READ)
  }

  isEmpty(): boolean {
    return Atomics.load(this.#control, WRITTEN) === this.#read
  }

  /** Finds the next frame; it stays valid until `release`. Calling it again before that finds the same frame. */
  next(): boolean {
    for (;;) {
      if (Atomics.load(this.#control, WRITTEN) === this.#read) return false
      const header = this.#ring + (this.#read & (this.#units - 1)) * UNIT
      const type = this.#words[header >> 2] as FrameType
      const bytes = this.#words[(header >> 2) + 1] as number
      if (type === FrameType.pad) {
        this.#advance(1 + bytes / UNIT)
        continue
      }
      this.type = type
      this.bytes = bytes
      this.position = header + UNIT
      this.epoch = this.views.f64[(header >> 3) + 1] as number
      this.watermark = this.views.f64[(header >> 3) + 2] as number
      this.flag = this.views.f64[(header >> 3) + 3] as number
      return true
    }
  }

  /** Gives the frame's memory back; its block must not be looked at any more. */
  release(): void {
    this.#advance(1 + Math.ceil(this.bytes / UNIT))
  }

  #advance(units: number): void {
    this.#read = (this.#read + units) | 0
    Atomics.store(this.#control, READ, this.#read)
    if (Atomics.load(this.#control, WAITING) !== 0) {
      Atomics.store(this.#control, WAITING, 0)
      this.#bells.ring(this.#writerSlot)
    }
  }
}
