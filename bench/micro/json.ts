import stringify from 'fast-json-stable-stringify'
import { clickBatches } from '../lib/clicks.js'
import type { Kernel } from './run.js'

/** Canonical JSON (sorted keys) against plain: why it names things and is kept off the way of a record. */
export function json(): Kernel[] {
  const [messages = []] = clickBatches({ batches: 1, batchSize: 1000, users: 100 })
  const values = messages.map((message) => message.value)
  return [
    {
      name: 'fast-json-stable-stringify of a click',
      items: values.length,
      run: () => {
        for (let i = 0; i < values.length; i++) stringify(values[i])
      },
    },
    {
      name: 'JSON.stringify of a click',
      items: values.length,
      run: () => {
        for (let i = 0; i < values.length; i++) JSON.stringify(values[i])
      },
    },
  ]
}
