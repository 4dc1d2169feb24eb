import { octetLength, sum } from 'millrace'
import type { Bench, Line } from '../lib/line.js'
import { LOG_TOPIC, logMessages, openLog } from '../lib/log-shapes.js'
import { check, interleave, rates } from '../lib/measure.js'

/** A query over an untyped topic that looks at the value of each record, one worker, against a loop that copies the values. */
const bench: Bench = {
  name: 'log-query',
  suite: 'log',
  async run({ quick }) {
    const lines: Line[] = []
    for (const valueBytes of [100, 1024]) {
      const records = (quick ? 3 : 12) * (valueBytes === 100 ? 100_000 : 20_000)
      const mill = await openLog(4, { memoryBudget: 1024 ** 3 })
      const messages = logMessages(10_000, valueBytes)
      const producer = mill.producer()
      for (let sent = 0; sent < records; sent += messages.length) await producer.send({ topic: LOG_TOPIC, messages })
      const target = new Uint8Array(1 << 20)
      const { a: bare, b: ours } = await interleave(
        { warmUp: 1, repeats: quick ? 3 : 5 },
        () => {
          for (let i = 0, at = 0; i < records; i++, at += valueBytes) {
            if (at + valueBytes > target.length) at = 0
            target.set((messages[i % messages.length] as { value: Buffer }).value, at)
          }
        },
        async () => {
          const question = mill.read.format('log').option('subscribe', LOG_TOPIC).load()
          const [row] = await question.agg({ bytes: sum(octetLength('value')) }).collect()
          check(Number(row?.bytes) === records * valueBytes, `${row?.bytes} bytes of values`)
        },
      )
      await mill.close()
      lines.push({
        what: `query over an untyped topic, values of ${valueBytes === 100 ? '100 B' : '1 KiB'}, one worker`,
        ...rates(records, ours),
        unit: 'records/s',
        limit: { what: 'copies of the values', value: rates(records, bare).figure },
      })
    }
    return lines
  },
}

export default bench
