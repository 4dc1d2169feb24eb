import { MessageChannel } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { ENGINE_SLOT, HOST_SLOT } from '../../src/common/doorbell.js'
import { ControlArena } from '../../src/log/control-arena.js'
import { DirtyPartitions } from '../../src/log/dirty-partitions.js'
import { CHUNK_BYTES } from '../../src/log/limits.js'
import { APPEND_BUSY, APPEND_NO_MEMORY, type BatchWriter, PartitionAppender } from '../../src/log/partition-appender.js'
import { PartitionControl, PartitionStatus } from '../../src/log/partition-control.js'
import type { PartitionDescriptor } from '../../src/log/partition-descriptor.js'
import { createSharedLogMemory, LogMemory } from '../../src/log/shared-memory.js'

const MEBIBYTE = 1024 * 1024
const half = { byteLength: CHUNK_BYTES / 2, records: 10 }
const writesNothing: BatchWriter<typeof half> = { writeTo: () => undefined }

function partition(inFiles: boolean, ordinal = 0): PartitionDescriptor {
  const descriptor: PartitionDescriptor = {
    topicId: 'id',
    topic: 't',
    partition: 0,
    ordinal,
    ...new ControlArena().next(),
    directory: undefined,
    ackWhen: inFiles ? 'written' : 'appended',
    leaderEpochs: [],
  }
  new PartitionControl(descriptor.control, descriptor.controlOffset).initialize(0, 0, inFiles)
  return descriptor
}

describe('chunks', () => {
  it('a thread that meets an id it does not know finds the announcement in its port', () => {
    const shared = createSharedLogMemory(64 * MEBIBYTE)
    const host = new LogMemory(shared, HOST_SLOT)
    const engine = new LogMemory(shared, ENGINE_SLOT)
    const worker = new LogMemory(shared, 2)
    const early = host.chunks.allocate()
    const connect = (a: LogMemory, b: LogMemory): void => {
      const { port1, port2 } = new MessageChannel()
      a.chunks.attachThread(port1)
      b.chunks.attachThread(port2)
    }
    connect(host, engine)
    connect(host, worker)
    connect(engine, worker)
    const ids = [
      early,
      host.chunks.allocate(),
      engine.chunks.allocate(),
      engine.chunks.allocate(),
      host.chunks.allocate(),
    ]
    expect(new Set(ids).size).toBe(5)
    for (const [i, id] of ids.entries()) host.chunks.get(id).i32[0] = i + 7
    for (const [i, id] of ids.entries()) {
      expect(worker.chunks.get(id).i32[0]).toBe(i + 7)
      expect(engine.chunks.get(id).i32[0]).toBe(i + 7)
    }
    for (const memory of [host, engine, worker]) memory.close()
  })

  it('never go beyond the budget, and a free one is given again', () => {
    const memory = new LogMemory(createSharedLogMemory(3 * CHUNK_BYTES + 5), HOST_SLOT)
    const ids = [memory.chunks.allocate(), memory.chunks.allocate(), memory.chunks.allocate()]
    expect(memory.chunks.allocate()).toBe(-1)
    memory.chunks.free(ids[1] as number)
    expect(memory.chunks.allocate()).toBe(ids[1])
    expect(memory.chunks.allocate()).toBe(-1)
  })

  it('a budget that holds no two of them is refused', () => {
    expect(() => createSharedLogMemory(CHUNK_BYTES)).toThrow(
      expect.objectContaining({ code: 'MEMORY_BUDGET_TOO_SMALL' }),
    )
  })
})

describe('dirty partitions', () => {
  it('are taken once, and the engine is rung for the first mark alone', () => {
    const dirty = new DirtyPartitions()
    expect([dirty.mark(5), dirty.mark(5), dirty.mark(131_071), dirty.mark(33)]).toEqual([true, false, true, true])
    const taken: number[] = []
    dirty.take((ordinal) => taken.push(ordinal))
    expect(taken.sort((a, b) => a - b)).toEqual([5, 33, 131_071])
    dirty.take(() => expect.unreachable())
    expect(dirty.mark(5)).toBe(true)
  })
})

describe('the append lock', () => {
  it('sends the host away while the engine holds it, and is broken for a thread that has died', () => {
    const memory = new LogMemory(createSharedLogMemory(64 * MEBIBYTE), HOST_SLOT)
    const descriptor = partition(false)
    const host = new PartitionAppender(descriptor, memory)
    host.control.lock(ENGINE_SLOT)
    expect(host.tryAppend(half, writesNothing)).toBe(APPEND_BUSY)
    host.control.forgetThread(3)
    expect(host.tryAppend(half, writesNothing)).toBe(APPEND_BUSY)
    host.control.forgetThread(ENGINE_SLOT)
    expect(host.tryAppend(half, writesNothing)).toBe(0)
    expect(host.tryAppend(half, writesNothing)).toBe(10)
  })

  it('is let go when the writing of a batch throws, and nothing of it is published', () => {
    const memory = new LogMemory(createSharedLogMemory(64 * MEBIBYTE), HOST_SLOT)
    const appender = new PartitionAppender(partition(false), memory)
    const throwing: BatchWriter<typeof half> = {
      writeTo: () => {
        throw new Error('no')
      },
    }
    expect(() => appender.tryAppend(half, throwing)).toThrow('no')
    expect(appender.control.logEndOffset()).toBe(0)
    expect(appender.tryAppend(half, writesNothing)).toBe(0)
  })
})

describe('recycling', () => {
  it('a chunk that a reader has pinned is not recycled, and is as soon as it is let go', () => {
    const memory = new LogMemory(createSharedLogMemory(2 * CHUNK_BYTES), HOST_SLOT)
    const appender = new PartitionAppender(partition(true), memory)
    const { control } = appender
    for (let i = 0; i < 4; i++) expect(appender.tryAppend(half, writesNothing)).toBe(i * 10)
    expect(appender.tryAppend(half, writesNothing)).toBe(APPEND_NO_MEMORY)
    expect(memory.chunks.isWanted()).toBe(true)
    control.setWritten(20, 2)
    control.pin(7, 1)
    expect(appender.tryAppend(half, writesNothing)).toBe(APPEND_NO_MEMORY)
    expect(control.head()).toBe(1)
    control.pin(7, 2)
    expect(appender.tryAppend(half, writesNothing)).toBe(40)
    expect([control.head(), control.tail()]).toEqual([2, 3])
    expect(control.chunkId(3)).toBe(0)
  })

  it('a memory partition keeps its chunks', () => {
    const memory = new LogMemory(createSharedLogMemory(2 * CHUNK_BYTES), HOST_SLOT)
    const appender = new PartitionAppender(partition(false), memory)
    for (let i = 0; i < 4; i++) appender.tryAppend(half, writesNothing)
    expect(appender.tryAppend(half, writesNothing)).toBe(APPEND_NO_MEMORY)
    expect(appender.control.head()).toBe(1)
  })

  it('an idle partition gives its last chunk too, and begins another', () => {
    const memory = new LogMemory(createSharedLogMemory(8 * CHUNK_BYTES), HOST_SLOT)
    const appender = new PartitionAppender(partition(true), memory)
    const { control } = appender
    appender.tryAppend(half, writesNothing)
    expect(control.takeOldestChunk(true)).toBe(-1)
    control.setWritten(10, 1)
    expect(control.takeOldestChunk(false)).toBe(-1)
    expect(control.takeOldestChunk(true)).toBe(0)
    expect(control.head()).toBe(2)
    expect(appender.tryAppend(half, writesNothing)).toBe(10)
    expect([control.head(), control.tail(), control.chunkBaseOffset(2)]).toEqual([2, 2, 10])
  })

  it('a batch larger than a chunk is refused, and so is any once the partition is read-only', () => {
    const memory = new LogMemory(createSharedLogMemory(8 * CHUNK_BYTES), HOST_SLOT)
    const appender = new PartitionAppender(partition(true), memory)
    expect(() => appender.tryAppend({ byteLength: CHUNK_BYTES + 8, records: 1 }, writesNothing)).toThrow(
      expect.objectContaining({ code: 'BATCH_TOO_LARGE' }),
    )
    appender.control.setStatus(PartitionStatus.failed)
    expect(() => appender.tryAppend(half, writesNothing)).toThrow(
      expect.objectContaining({ code: 'PARTITION_READ_ONLY' }),
    )
  })
})
