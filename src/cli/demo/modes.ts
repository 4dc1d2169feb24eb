import type { DataFrame } from '../../api/dataframe.js'
import type { Millrace } from '../../api/millrace.js'
import type { StreamingQuery } from '../../api/streaming-query.js'
import type { Trigger } from '../../api/trigger.js'
import type { DemoMode } from './arguments.js'
import { type delaysPerOriginAndHour, Flight, SendWindow, wallClock } from './flights.js'
import type { FlightColumns } from './flights-file.js'
import type { GroupResults } from './group-results.js'
import { LatencyHistogram } from './latency-histogram.js'
import { type Progress, thousands } from './progress.js'
import { replay } from './replay.js'
import type { ModeFigures } from './report.js'

/** Runs the demo's query in one mode and measures it. */
export type DelayQuery = ReturnType<typeof delaysPerOriginAndHour>
type DelayRow = DelayQuery extends DataFrame<infer R> ? R : never

export interface ModeRun {
  readonly mill: Millrace
  readonly query: DelayQuery
  readonly flights: FlightColumns
  readonly rate: number
  readonly results: GroupResults
  readonly progress: Progress
  /** True once the user wants to stop. */
  stopped(): boolean
}

class Meter {
  readonly latency = new LatencyHistogram()
  rowsOut = 0
  readonly #started = performance.now()
  readonly #cpu = process.cpuUsage()

  constructor(readonly results: GroupResults) {}

  take(row: DelayRow): void {
    this.rowsOut += 1
    this.latency.record(wallClock() - Number(row.sentAt))
    this.results.put({
      origin: row.origin,
      windowStart: row.window.start,
      flights: row.flights,
      averageDelay: Number(row.averageDelay),
      maxDelay: Number(row.maxDelay),
    })
  }

  figures(mode: DemoMode, recordsIn: number): ModeFigures {
    const { user, system } = process.cpuUsage(this.#cpu)
    return {
      mode,
      recordsIn,
      rowsOut: this.rowsOut,
      seconds: (performance.now() - this.#started) / 1000,
      cpuSeconds: (user + system) / 1e6,
      latency: this.latency,
    }
  }
}

/** Over what is stored in `topic`. The latency is the age of the newest record of each row when the row is there. */
export async function runBatchMode(run: ModeRun, topic: string): Promise<ModeFigures> {
  const meter = new Meter(run.results)
  const input = run.mill.read.topic(topic, Flight)
  await run.query.withInput(input).foreach((row) => meter.take(row), {
    onProgress: ({ inputRows }) => run.progress.update(inputRows, rowsText(meter)),
  })
  run.progress.finish(run.flights.count, rowsText(meter))
  return meter.figures('batch', run.flights.count)
}

const triggers: Readonly<Record<Exclude<DemoMode, 'batch'>, Trigger>> = {
  'micro-batch': { processingTime: '100 ms' },
  continuous: { continuous: '1 second' },
}

/** Over a replay of the flights into `topic`, as they come. */
export async function runStreamingMode(
  run: ModeRun,
  mode: Exclude<DemoMode, 'batch'>,
  topic: string,
): Promise<ModeFigures> {
  const meter = new Meter(run.results)
  const input = run.mill.readStream.option('startingOffsets', 'earliest').topic(topic, Flight)
  const streaming: StreamingQuery = await run.query
    .withInput(input)
    .writeStream.queryName(topic)
    .outputMode('update')
    .foreach((row) => meter.take(row))
    .trigger(triggers[mode])
    .start()
  const producer = run.mill.producer()
  let sent = 0
  const send = replay(
    run.flights,
    new SendWindow(producer, topic),
    run.rate,
    (count) => {
      sent = count
      run.progress.update(sent, rowsText(meter))
    },
    () => run.stopped() || !streaming.isActive,
  )
  // A query that fails ends the replay, and its error is the one to show.
  await Promise.race([send, streaming.awaitTermination()])
  await send
  await (run.stopped() ? streaming.stop() : streaming.drain())
  run.progress.finish(sent, rowsText(meter))
  return meter.figures(mode, sent)
}

const rowsText = (meter: Meter): string => `${thousands(meter.rowsOut)} rows`
