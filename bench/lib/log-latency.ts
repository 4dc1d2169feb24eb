import { describeHiccups, startHiccupMeter } from './hiccup-meter.js'
import { LatencyHistogram } from './latency-histogram.js'
import type { Line } from './line.js'
import { LOG_TOPIC, type LogMessage, openLog } from './log-shapes.js'
import { check } from './measure.js'
import { pace } from './pacer.js'

export interface LogLatencyOptions {
  readonly name: string
  /** Undefined: a memory topic. */
  readonly dir: string | undefined
  readonly fsync: 'never' | 'interval' | 'group' | 'always'
  readonly partitions: number
  readonly messages: readonly LogMessage[]
  readonly rate: number
  readonly seconds: number
}

/**
 * One producer and one consumer in one thread, open loop: publish is from the time a record was due to the
 * resolution of its `send`, end to end from then to the consumer's callback.
 */
export async function logLatency(options: LogLatencyOptions): Promise<Line[]> {
  const { dir, fsync, partitions, messages, rate, seconds } = options
  const mill = await openLog(partitions, { ...(dir === undefined ? {} : { dir }), fsync })
  const producer = mill.producer()
  const publish = new LatencyHistogram()
  const endToEnd = new LatencyHistogram()
  const warmUpSeconds = 1
  const total = Math.floor(rate * (warmUpSeconds + seconds))
  let origin = 0
  let acknowledged = 0
  let received = 0
  let done = (): void => undefined
  const all = new Promise<void>((resolve) => {
    done = resolve
  })
  const consumer = mill.consumer({ groupId: 'bench' })
  await consumer.subscribe({ topics: [LOG_TOPIC], fromBeginning: true })
  await consumer.run({
    eachBatch: ({ batch }) => {
      const now = performance.now()
      for (const message of batch.messages) {
        const value = message.value as Buffer
        const dueAt = origin + value.readUInt32LE(0) / 1000
        if (dueAt >= origin + warmUpSeconds * 1000) endToEnd.record(now - dueAt)
      }
      received += batch.messages.length
      if (received === total) done()
    },
  })
  const meter = await startHiccupMeter()
  let failure: unknown
  await pace({ rate, seconds: warmUpSeconds + seconds, wait: 'spin' }, (from, to, intended) => {
    if (from === 0) origin = intended(0)
    const sent = []
    for (let i = from; i < to; i++) {
      const message = messages[i % messages.length] as LogMessage
      const value = Buffer.from(message.value)
      value.writeUInt32LE(Math.round((intended(i) - origin) * 1000), 0)
      sent.push({ key: message.key, value })
    }
    producer.send({ topic: LOG_TOPIC, messages: sent }).then(
      () => {
        const now = performance.now()
        acknowledged += to - from
        for (let i = from; i < to; i++) {
          if (intended(i) >= origin + warmUpSeconds * 1000) publish.record(now - intended(i))
        }
      },
      (error: unknown) => {
        failure = error
      },
    )
  })
  await all
  const hiccups = await meter.stop()
  await consumer.disconnect()
  await mill.close()
  if (failure !== undefined) throw failure
  check(acknowledged === total, `${acknowledged} of ${total} records were acknowledged`)
  return [
    {
      what: `${options.name}, publish p99`,
      figure: publish.percentile(99),
      unit: 'ms',
      notes: [`${options.name}: publish ${publish.toString()}`],
    },
    {
      what: `${options.name}, end to end p99`,
      figure: endToEnd.percentile(99),
      unit: 'ms',
      limit: { what: 'hiccup meter p99', value: hiccups.p99 },
      notes: [`${options.name}: end to end ${endToEnd.toString()}`, describeHiccups(hiccups)],
    },
  ]
}
