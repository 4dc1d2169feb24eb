import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { HostLog } from '../../src/client/host-log.js'
import { Producer } from '../../src/client/producer.js'
import { ENGINE_SLOT, HOST_SLOT } from '../../src/common/doorbell.js'
import { nodeEnv } from '../../src/common/env.js'
import type { TopicDescriptor } from '../../src/log/partition-descriptor.js'
import { createSharedLogMemory, LogMemory } from '../../src/log/shared-memory.js'
import { temporaryDirectory } from './log-fixture.js'

const thread = new URL('./log-thread.js', import.meta.url)

function start(workerData: { readonly ports: readonly MessagePort[] } & Record<string, unknown>): Worker {
  return new Worker(thread, { workerData, transferList: [...workerData.ports] })
}

function answer(worker: Worker): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject)
    worker.once('message', (message: Record<string, unknown>) => {
      worker.off('error', reject)
      resolve(message)
    })
  })
}

describe('host, engine and two workers, each a thread', () => {
  it.each([
    ['disk', true],
    ['memory', false],
  ])('%s: the workers read every record in place and in order while little memory goes round', async (_, onDisk) => {
    const directory = temporaryDirectory()
    const shared = createSharedLogMemory(24 * 1024 * 1024)
    const host = new LogMemory(shared, HOST_SLOT)
    const connect = (): { readonly here: MessagePort; readonly there: MessagePort } => {
      const { port1, port2 } = new MessageChannel()
      return { here: port1, there: port2 }
    }
    const toEngine = connect()
    host.chunks.attachThread(toEngine.here)
    const engine = start({
      role: 'engine',
      slot: ENGINE_SLOT,
      shared,
      ports: [toEngine.there],
      options: { dir: onDisk ? directory.path : undefined, fsync: 'group', spillDirectory: `${directory.path}/spill` },
    })
    expect(await answer(engine)).toEqual({ opened: true })
    engine.postMessage({ create: { name: 't', partitions: 3 } })
    const topic = (await answer(engine))['topic'] as TopicDescriptor

    const records = 60_000
    const workers: Worker[] = []
    for (const slot of [2, 3]) {
      const fromHost = connect()
      const fromEngine = connect()
      host.chunks.attachThread(fromHost.here)
      engine.postMessage({ attach: fromEngine.here }, [fromEngine.here])
      await answer(engine)
      const options = { partitions: topic.partitions, records, lagEvery: slot === 2 ? 50 : 1_000_000 }
      workers.push(start({ role: 'reader', slot, shared, ports: [fromHost.there, fromEngine.there], options }))
    }
    const answers = workers.map(answer)

    const log = new HostLog({
      memory: host,
      env: nodeEnv,
      resolveTopic: async () => topic,
      listTopics: () => [topic],
      createTopic: async () => topic,
      coordinator: {
        init: async () => ({ producerId: 0, producerEpoch: 0, fence: undefined }),
        begin: () => undefined,
        end: async () => ({ producerId: 0, producerEpoch: 1, fence: undefined }),
      },
    })
    const bell = host.bells.listen(HOST_SLOT, () => log.rung())
    const producer = new Producer(log)
    const filler = 'f'.repeat(300)
    for (let from = 0; from < records; ) {
      const count = Math.min(records - from, 1 + ((from * 7) % 900))
      const messages = topic.partitions.flatMap((p) =>
        Array.from({ length: count }, (_, i) => ({ partition: p.partition, value: `${from + i} ${filler}` })),
      )
      await producer.send({ topic: 't', messages })
      from += count
    }
    for (const got of await Promise.all(answers))
      expect(got).toMatchObject({ fault: '', next: [records, records, records] })
    expect(host.chunks.allocatedChunks()).toBeLessThanOrEqual(6)
    engine.postMessage({ close: true })
    expect(await answer(engine)).toEqual({ closed: true })
    bell.close()
    host.close()
    for (const worker of [engine, ...workers]) await worker.terminate()
    directory.remove()
  })
})
