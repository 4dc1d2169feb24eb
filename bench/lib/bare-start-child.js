import { Worker } from 'node:worker_threads'

/** A fresh process that does nothing: milliseconds that Node takes to its first line, and then to start three empty threads. */
const booted = performance.now()
await Promise.all(
  Array.from({ length: 3 }, () => {
    const thread = new Worker('', { eval: true })
    return new Promise((resolve) => thread.once('exit', resolve))
  }),
)
process.stdout.write(JSON.stringify({ booted, threads: performance.now() - booted }))
