import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HostLog } from '../../src/client/host-log.js'
import { ENGINE_SLOT, HOST_SLOT } from '../../src/common/doorbell.js'
import { type Env, nodeEnv } from '../../src/common/env.js'
import { modulesLoaded } from '../../src/common/lazy-module.js'
import { LogEngine, type LogEngineOptions } from '../../src/log/log-engine.js'
import type { FsyncMode } from '../../src/log/log-writer.js'
import { PartitionAppender } from '../../src/log/partition-appender.js'
import type { TopicDescriptor } from '../../src/log/partition-descriptor.js'
import { PartitionReader } from '../../src/log/partition-reader.js'
import { createSharedLogMemory, LogMemory } from '../../src/log/shared-memory.js'
import type { AskOwner } from '../../src/log/transactions.js'
import type { Message } from '../../src/record/key-scatter.js'
import { RowsBatchBuilder } from '../../src/record/rows-batch-builder.js'
import { RecordCursor } from '../../src/record/rows-payload.js'
import type { StructType } from '../../src/types/data-type.js'

/** Host and engine in one thread: the log as it is, without workers. */
export interface OpenLog {
  readonly engine: LogEngine
  readonly host: HostLog
  readonly memory: LogMemory
  close(): Promise<void>
  /** As a crash would leave it: nothing more is written, the directory is let go by force. */
  abandon(): void
}

export interface OpenLogOptions {
  readonly dir?: string | undefined
  readonly fsync?: FsyncMode
  readonly memoryBudget?: number
  readonly env?: Env
  readonly syncIntervalMs?: number
  readonly spillDirectory?: string
  readonly askOwner?: AskOwner
  readonly onFailed?: LogEngineOptions['onFailed']
}

export async function openLog(options: OpenLogOptions = {}): Promise<OpenLog> {
  await modulesLoaded()
  const env = options.env ?? nodeEnv
  const memory = new LogMemory(createSharedLogMemory(options.memoryBudget ?? 256 * 1024 * 1024), HOST_SLOT)
  const engineOptions: LogEngineOptions = {
    env,
    dir: options.dir,
    fsync: options.fsync ?? 'group',
    memory,
    syncIntervalMs: options.syncIntervalMs,
    askOwner: options.askOwner,
    onFailed: options.onFailed,
    spillDirectory: options.spillDirectory ?? join(tmpdir(), `millrace-spill-${process.pid}-${Math.random()}`),
  }
  const engine = await LogEngine.open(engineOptions)
  const host = hostOf(engine, memory, env)
  const listeners = [
    memory.bells.listen(ENGINE_SLOT, () => engine.wake()),
    memory.bells.listen(HOST_SLOT, () => host.rung()),
  ]
  const unlisten = (): void => {
    for (const listener of listeners) listener.close()
  }
  return {
    engine,
    host,
    memory,
    async close() {
      await engine.close()
      host.close()
      unlisten()
    },
    abandon() {
      unlisten()
      host.close()
      if (options.dir !== undefined) rmSync(join(options.dir, 'lock'), { force: true })
    },
  }
}

/** The host's side of an engine in the same thread. */
export function hostOf(engine: LogEngine, memory: LogMemory, env: Env): HostLog {
  return new HostLog({
    memory,
    env,
    resolveTopic: async (name) => engine.describe(name),
    listTopics: () => engine.list(),
    createTopic: async (spec) => engine.createTopic(spec),
    coordinator: {
      init: (request) => engine.transactions.initProducer(request),
      begin: (producerId, producerEpoch) => engine.transactions.begin(producerId, producerEpoch),
      end: (request) => engine.transactions.end(request),
    },
  })
}

export function temporaryDirectory(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'millrace-test-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** Appends rows records straight to a partition, one batch a call. */
export class RowsAppender {
  readonly appender: PartitionAppender
  readonly #builder = new RowsBatchBuilder({ partitions: 1, random: () => 0, batchBytesMax: 4 * 1024 * 1024 })

  constructor(topic: TopicDescriptor, memory: LogMemory, partition = 0, slot = HOST_SLOT) {
    const descriptor = topic.partitions[partition]
    if (descriptor === undefined) throw new Error(`no partition ${partition}`)
    this.appender = new PartitionAppender(descriptor, memory, slot)
  }

  /** Base offset, or the appender's negative answer. */
  append(values: readonly string[], timestamp = Date.now()): number {
    return this.appendMessages(
      values.map((value) => ({ value, timestamp })),
      timestamp,
    )
  }

  /** The same with keys, headers and nulls. */
  appendMessages(messages: readonly Message[], timestamp = Date.now()): number {
    this.#builder.prepare(messages, 0, messages.length, timestamp)
    const batch = this.#builder.batches[0]
    if (batch === undefined || this.#builder.batches.length !== 1) throw new Error('one batch was expected')
    return this.appender.tryAppend(batch, this.#builder)
  }
}

export function readerOf(
  topic: TopicDescriptor,
  memory: LogMemory,
  partition = 0,
  options: { env?: Env; skipDamage?: boolean; schema?: StructType } = {},
): PartitionReader {
  const descriptor = topic.partitions[partition]
  if (descriptor === undefined) throw new Error(`no partition ${partition}`)
  return new PartitionReader({
    partition: descriptor,
    memory,
    env: options.env ?? nodeEnv,
    skipDamage: options.skipDamage ?? false,
    schema: options.schema,
  })
}

/** Values of an untyped partition as text, from an offset to the end. */
export function readValues(reader: PartitionReader, from: number): string[] {
  const values: string[] = []
  reader.seek(from)
  while (reader.next()) values.push(...batchValues(reader, from))
  return values
}

export function batchValues(reader: PartitionReader, from = 0): string[] {
  const values: string[] = []
  const cursor = RecordCursor.ofBatch(reader.views, reader.position)
  while (cursor.next()) {
    if (cursor.offset < from) continue
    const value = cursor.value()
    values.push(value === null ? 'null' : Buffer.from(value).toString('utf8'))
  }
  return values
}

export async function nextTurn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

/** Turns of the event loop until something is so, for ten seconds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = performance.now() + 10_000; performance.now() < end; ) {
    if (condition()) return
    await nextTurn()
  }
  throw new Error(`it did not happen: ${what}`)
}
