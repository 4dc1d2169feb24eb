import { fileURLToPath } from 'node:url'
import { MessageChannel, Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { nextMessage } from '../../src/common/doorbell.js'

test('messages come one by one, in their order', () => {
  const { port1, port2 } = new MessageChannel()
  expect(nextMessage(port2)).toBeUndefined()
  port1.postMessage('a')
  port1.postMessage({ b: 0 })
  expect([nextMessage(port2), nextMessage(port2), nextMessage(port2)]).toEqual(['a', { b: 0 }, undefined])
  port1.close()
})

test('a thread that meets the empty message of its termination does nothing more', async () => {
  const doorbell = fileURLToPath(new URL('../../dist/common/doorbell.js', import.meta.url))
  const thread = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads')
     import(workerData.doorbell).then(({ nextMessage }) => {
       parentPort.postMessage('reads')
       parentPort.postMessage('went on with ' + nextMessage(workerData.port))
     })`,
    (() => {
      const { port1, port2 } = new MessageChannel()
      // What Node gives instead of a message there.
      port1.postMessage(undefined)
      return { eval: true, workerData: { doorbell, port: port2 }, transferList: [port2] }
    })(),
  )
  const said: unknown[] = []
  await new Promise<void>((resolve) => {
    thread.on('message', (message) => {
      said.push(message)
      resolve()
    })
  })
  expect(await thread.terminate()).toBe(1)
  expect(said).toEqual(['reads'])
})
