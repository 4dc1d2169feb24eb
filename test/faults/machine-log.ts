import { HOST_SLOT } from '../../src/common/doorbell.js'
import { modulesLoaded } from '../../src/common/lazy-module.js'
import { LogEngine } from '../../src/log/log-engine.js'
import type { FsyncMode } from '../../src/log/log-writer.js'
import { PartitionAppender } from '../../src/log/partition-appender.js'
import { PartitionReader } from '../../src/log/partition-reader.js'
import { createSharedLogMemory, LogMemory } from '../../src/log/shared-memory.js'
import { RowsBatchBuilder } from '../../src/record/rows-batch-builder.js'
import { RecordCursor } from '../../src/record/rows-payload.js'
import type { SimulatedMachine, SimulatedProcess } from '../../src/testing/index.js'

// Where Node cannot require ES modules (a loader translates them), what is loaded by its first use is there from the beginning.
await modulesLoaded()

/**
 * An engine on a simulated machine, driven step by step, for experiments that try every place of one workload in turn. What was appended
 * and what was acknowledged is kept here, outside of it.
 */
export interface KeptRecord {
  readonly key: string
  readonly value: string
}

export class MachineLog {
  readonly engine: LogEngine
  /** By partition name: what was appended in this life, by offset, and how much of it is acknowledged. */
  readonly #appenders = new Map<string, PartitionAppender>()
  readonly #builder = new RowsBatchBuilder({ partitions: 1, random: () => 0, batchBytesMax: 4 * 1024 * 1024 })

  private constructor(
    readonly machine: SimulatedMachine,
    readonly process: SimulatedProcess,
    engine: LogEngine,
  ) {
    this.engine = engine
  }

  static async open(
    machine: SimulatedMachine,
    fsync: FsyncMode = 'group',
    process = machine.startProcess(),
  ): Promise<MachineLog> {
    await turn()
    sharedMemory.dirty.take(() => undefined)
    const engine = await LogEngine.open({
      env: process.env,
      dir: '/data',
      fsync,
      memory: sharedMemory,
      spillDirectory: '/spill',
    })
    return new MachineLog(machine, process, engine)
  }

  get isAlive(): boolean {
    return this.process.isAlive
  }

  appender(topic: string, partition: number): PartitionAppender {
    const key = `${topic}-${partition}`
    let appender = this.#appenders.get(key)
    if (appender === undefined) {
      const descriptor = this.engine.describe(topic).partitions[partition]
      if (descriptor === undefined) throw new Error(`there is no partition ${key}`)
      appender = new PartitionAppender(descriptor, sharedMemory, HOST_SLOT)
      this.#appenders.set(key, appender)
    }
    return appender
  }

  /** Base offset; throws as a send would. */
  append(topic: string, partition: number, records: readonly KeptRecord[]): number {
    const timestamp = Math.floor(this.machine.clock.now())
    this.#builder.prepare(
      records.map(({ key, value }) => ({ key, value, timestamp })),
      0,
      records.length,
      timestamp,
    )
    const batch = this.#builder.batches[0]
    if (batch === undefined || this.#builder.batches.length !== 1) throw new Error('one batch was expected')
    const base = this.appender(topic, partition).tryAppend(batch, this.#builder)
    if (base < 0) throw new Error('there is no memory')
    this.engine.wake()
    return base
  }

  /** Time passes; promises settle between one timer and the next. */
  async advance(ms: number): Promise<void> {
    const { clock } = this.machine
    const until = clock.monotonic() + ms
    await turn()
    while (this.isAlive && clock.fireNext(until)) await turn()
    if (this.isAlive) clock.advance(Math.max(0, until - clock.monotonic()))
    await turn()
  }

  /** Until the work is done, or the process is gone; what it rejects with is thrown. */
  async finish<T>(work: Promise<T>): Promise<T | undefined> {
    let isSettled = false
    const settled = work.finally(() => {
      isSettled = true
    })
    settled.catch(() => undefined)
    for (let i = 0; i < 2000 && !isSettled && this.isAlive; i++) await this.advance(5)
    if (!isSettled && this.isAlive) throw new Error('it does not end')
    return isSettled ? settled : undefined
  }

  /** By offset; a compacted log has gaps. */
  read(topic: string, partition: number): Map<number, KeptRecord> {
    const descriptor = this.engine.describe(topic).partitions[partition]
    if (descriptor === undefined) throw new Error(`there is no partition ${topic}-${partition}`)
    const reader = new PartitionReader({ partition: descriptor, memory: sharedMemory, env: this.process.env })
    const found = new Map<number, KeptRecord>()
    const start = reader.logStartOffset()
    reader.seek(start)
    while (reader.next()) {
      const cursor = RecordCursor.ofBatch(reader.views, reader.position)
      while (cursor.next()) {
        const key = cursor.key()
        const value = cursor.value()
        if (cursor.offset >= start) found.set(cursor.offset, { key: text(key), value: text(value) })
      }
    }
    reader.close()
    return found
  }

  /** The chunks go back; whatever is left of the engine does nothing more. */
  letGo(): void {
    for (const { control } of this.#appenders.values()) {
      for (let id = control.dropOldestChunk(); id !== -1; id = control.dropOldestChunk()) sharedMemory.chunks.free(id)
    }
    this.#appenders.clear()
  }
}

const text = (bytes: Uint8Array | null): string => (bytes === null ? '' : Buffer.from(bytes).toString('utf8'))

/** One for all runs, so that hundreds of engines do not mean hundreds of chunks. */
const sharedMemory = new LogMemory(createSharedLogMemory(64 * 1024 * 1024), HOST_SLOT)

export async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}
