import { parentPort, workerData } from 'node:worker_threads'
import { present } from '../common/assert.js'
import { nodeEnv } from '../common/env.js'
import { toErrorShape } from '../common/errors.js'
import { modulesLoaded } from '../common/lazy-module.js'
import { Engine } from './engine.js'
import type { EngineStart, FromEngine, ToEngine } from './engine-protocol.js'

/** The engine thread: opens the log, then serves the host until it is asked to close. */
const port = present(parentPort ?? undefined, 'the port of the engine thread')
const toHost = (message: FromEngine): void => port.postMessage(message)

const early: ToEngine[] = []
let engine: Engine | undefined
port.on('message', (message: ToEngine) => {
  if (engine === undefined) early.push(message)
  else engine.onMessage(message)
})

modulesLoaded()
  .then(() => Engine.open(nodeEnv, workerData as EngineStart, toHost))
  .then(
    (opened) => {
      engine = opened
      toHost({ type: 'ready' })
      for (const message of early.splice(0)) opened.onMessage(message)
    },
    (error: unknown) => toHost({ type: 'answer', id: -1, error: toErrorShape(error) }),
  )
