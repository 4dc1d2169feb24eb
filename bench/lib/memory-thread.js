import { parentPort, workerData } from 'node:worker_threads'

/**
 * Thread of memory-limit.ts: random updates of a table that no cache holds. Waits at the gate, updates, says that
 * it is done. The table is the thread's own.
 *
 *   // gate, int32: 0 number of the round that may start, 1 threads that are done with it, 2 set to end, 3 threads that work
 */
const gate = new Int32Array(workerData.gate)
const table = new Float64Array(workerData.tableLength)

function update(table, count, seed) {
  const mask = table.length - 1
  let state = seed
  for (let i = 0; i < count; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    table[state & mask] += 1
  }
  return state
}

update(table, table.length, 88675123)
parentPort.postMessage('ready')
for (let round = 1; ; round++) {
  while (Atomics.load(gate, 0) < round) Atomics.wait(gate, 0, round - 1)
  if (Atomics.load(gate, 2) === 1) break
  if (workerData.index < Atomics.load(gate, 3)) update(table, workerData.updates, 88675123 + round)
  Atomics.add(gate, 1, 1)
  Atomics.notify(gate, 1)
}
