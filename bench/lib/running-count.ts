import { count, Millrace, max, t } from 'millrace'
import { describeHiccups, startHiccupMeter } from './hiccup-meter.js'
import { LatencyHistogram } from './latency-histogram.js'
import type { Line } from './line.js'
import { check } from './measure.js'
import { pace } from './pacer.js'

/**
 * Keyed running count in continuous mode with one worker, open loop: from the time at which a record was due to be
 * sent to its row in the thread that sent it. Keys come round in turn, each after KEYS records, so that every record has a row
 * of its own as long as the machine keeps up; how many rows there were is said beside the figures.
 */
const Event = t.struct({ user: t.string, dueAt: t.double })
const KEYS = 10_000

export interface LatencyRequirement {
  readonly rate: number
  readonly p50: number
  readonly p99: number
}

export async function runningCount(required: LatencyRequirement, seconds: number): Promise<Line[]> {
  const { rate } = required
  const warmUpSeconds = 2
  const keys = Array.from({ length: KEYS }, (_, i) => Buffer.from(`user-${(i * 7919) % KEYS}`).toString('latin1'))
  const mill = await Millrace.open({ workers: 1 })
  await mill.topics.create('events', { partitions: 1, schema: Event })
  const producer = mill.producer()
  const rows = mill.readStream
    .option('startingOffsets', 'earliest')
    .topic('events', Event)
    .groupBy('user')
    .agg({ seen: count(), dueAt: max('dueAt') })
    .writeStream.outputMode('update')
    .trigger({ continuous: '1 second' })
    .iterate()

  const latencies = new LatencyHistogram()
  const total = Math.floor(rate * (warmUpSeconds + seconds))
  const counts = new Map<string, number>()
  /** From one record of a key to its next. */
  const roundMs = (KEYS * 1000) / rate
  let received = 0
  /** Records that the rows so far answer for: a stalled machine lumps updates of one key together. */
  let covered = 0
  let recordFrom = Number.POSITIVE_INFINITY
  let begin = (): void => undefined
  const running = new Promise<void>((resolve) => {
    begin = resolve
  })
  const reading = (async () => {
    for await (const row of rows) {
      if (row.user === 'first') {
        begin()
        continue
      }
      const now = performance.now()
      const answered = row.seen - (counts.get(row.user) ?? 0)
      // A row that answers for several records of its key answers late for all but the last: each counts with its own due time.
      for (let i = 0; i < answered; i++) {
        const dueAt = (row.dueAt ?? 0) - i * roundMs
        if (dueAt >= recordFrom) latencies.record(now - dueAt)
      }
      covered += answered
      counts.set(row.user, row.seen)
      received += 1
      if (covered === total) break
    }
  })()

  // The clock starts when the query runs: its first row is here.
  await producer.send({ topic: 'events', messages: [{ key: 'first', value: { user: 'first', dueAt: 0 } }] })
  await running
  const meter = await startHiccupMeter()
  const cpu = process.cpuUsage()
  let failure: unknown
  const { latestStartMs } = await pace(
    { rate, seconds: warmUpSeconds + seconds, wait: 'spin' },
    (from, to, intended) => {
      if (from === 0) recordFrom = intended(Math.floor(rate * warmUpSeconds))
      const messages = []
      for (let i = from; i < to; i++) {
        const user = keys[i % KEYS] as string
        messages.push({ key: user, value: { user, dueAt: intended(i) } })
      }
      producer.send({ topic: 'events', messages }).catch((error: unknown) => {
        failure = error
      })
    },
  )
  await Promise.race([reading, giveUp(10_000)])
  const used = process.cpuUsage(cpu)
  const hiccups = await meter.stop()
  await mill.close()
  if (failure !== undefined) throw failure
  check(covered === total, `rows for ${covered} of ${total} records: updates were lost`)
  for (let k = 0; k < Math.min(KEYS, total); k++) {
    const expected = Math.floor((total - 1 - k) / KEYS) + 1
    check(
      counts.get(keys[k] as string) === expected,
      `${keys[k]} was counted ${counts.get(keys[k] as string)} times of ${expected}`,
    )
  }
  const name = `continuous, keyed count at ${rate.toLocaleString('en')}/s`
  const cpuSeconds = (used.user + used.system) / 1e6
  return [
    {
      what: `${name}, p50`,
      figure: latencies.percentile(50),
      unit: 'ms',
      required: { atMost: required.p50 },
      notes: [
        latencies.toString(),
        `${describeHiccups(hiccups)}; latest turn of the sender ${latestStartMs.toFixed(2)} ms late`,
        `${received} rows for ${total} records`,
        `${(cpuSeconds / (warmUpSeconds + seconds)).toFixed(2)} cores, the sender's among them, which spins between records`,
      ],
    },
    {
      what: `${name}, p99`,
      figure: latencies.percentile(99),
      unit: 'ms',
      limit: { what: 'hiccup meter p99', value: hiccups.p99 },
      required: { atMost: required.p99 },
    },
  ]
}

const giveUp = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
