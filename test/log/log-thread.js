// A thread of the log for tests: the engine, or a worker that reads. Loads from dist/, as real threads do.
import { parentPort, workerData } from 'node:worker_threads'

const dist = (path) => import(new URL(`../../dist/${path}`, import.meta.url).href)
const { nodeEnv } = await dist('common/env.js')
const { LogMemory } = await dist('log/shared-memory.js')
const { PartitionReader } = await dist('log/partition-reader.js')
const { LogEngine } = await dist('log/log-engine.js')
const { RecordCursor } = await dist('record/rows-payload.js')

const { role, slot, shared, ports, options } = workerData
const memory = new LogMemory(shared, slot)
for (const port of ports) memory.chunks.attachThread(port)

if (role === 'engine') {
  const engine = await LogEngine.open({ env: nodeEnv, memory, ...options })
  const listener = memory.bells.listen(slot, () => engine.wake())
  parentPort.on('message', async (message) => {
    if (message.create !== undefined) parentPort.postMessage({ topic: engine.createTopic(message.create) })
    else if (message.attach !== undefined) {
      memory.chunks.attachThread(message.attach)
      parentPort.postMessage({ attached: true })
    } else {
      await engine.close()
      listener.close()
      memory.close()
      parentPort.postMessage({ closed: true })
      parentPort.close()
    }
  })
  parentPort.postMessage({ opened: true })
} else {
  // Reads every partition to the end that the test names; each value must be its own offset.
  const { partitions, records, lagEvery } = options
  const readers = partitions.map((partition) => new PartitionReader({ partition, memory, env: nodeEnv }))
  const next = partitions.map(() => 0)
  for (const reader of readers) {
    reader.seek(0)
    reader.watch()
  }
  let batches = 0
  let fault = ''
  while (fault === '' && next.some((offset) => offset < records)) {
    const seen = memory.bells.sequence(slot)
    let moved = false
    for (let p = 0; p < readers.length; p++) {
      const reader = readers[p]
      for (let n = 0; n < 20 && reader.next(); n++) {
        moved = true
        batches += 1
        const cursor = RecordCursor.ofBatch(reader.views, reader.position)
        while (cursor.next()) {
          const value = Number.parseInt(Buffer.from(cursor.value().subarray(0, 12)).toString(), 10)
          if (value !== cursor.offset || cursor.offset !== next[p])
            fault = `partition ${p}: value ${value} at offset ${cursor.offset}, expected ${next[p]}`
          next[p] = cursor.offset + 1
        }
        if (batches % lagEvery === 0) memory.bells.park(slot, memory.bells.sequence(slot), 1)
      }
      reader.release()
    }
    if (!moved) memory.bells.park(slot, seen, 1000)
  }
  for (const reader of readers) reader.close()
  memory.close()
  parentPort.postMessage({ fault, next, batches })
}
