#!/usr/bin/env node
import { rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Millrace } from '../../api/millrace.js'
import { MillraceError } from '../../common/errors.js'
import { type DemoArguments, type DemoMode, demoCommand } from './arguments.js'
import { directoryListing } from './directory-listing.js'
import {
  delaysPerOriginAndHour,
  Flight,
  flightMessages,
  PARTITIONS,
  SEND_RECORDS,
  SendWindow,
  wallClock,
} from './flights.js'
import { type FlightColumns, joinFlights, readFlights } from './flights-file.js'
import { compareResults, GroupDirectory, GroupResults, mostDelayedOrigins } from './group-results.js'
import { type ModeRun, runBatchMode, runStreamingMode } from './modes.js'
import { progress, thousands } from './progress.js'
import { comparisonTable, type ModeFigures, originsTable, partitionBars } from './report.js'

/**
 * `npm start`: three million real flights into a durable topic, one query over them in three modes, and what
 * came of it. The files stay for the reader to look at; the next start writes them anew.
 */
const out = process.stdout
const say = (text = ''): void => void out.write(`${text}\n`)
const FLIGHTS_TOPIC = 'flights'
const liveTopic = (mode: DemoMode): string => `flights-live-${mode}`
const ORIGINS_SHOWN = 10

async function main(args: DemoArguments): Promise<void> {
  const dir = resolve(args.dir)
  const mill = await Millrace.open({ dir, workers: args.workers })
  let stopped = false
  const interrupt = (): void => {
    if (stopped) process.exit(130)
    stopped = true
    // On a terminal the bar has the cursor.
    if (out.isTTY !== true) say('stopping; once more to leave at once')
  }
  process.on('SIGINT', interrupt)
  try {
    await run(args, dir, mill, () => stopped)
  } finally {
    await mill.close()
    process.removeListener('SIGINT', interrupt)
  }
  if (stopped) {
    say(`\nstopped; the files in ${dir} can be opened again`)
    process.exitCode = 130
  }
}

async function run(args: DemoArguments, dir: string, mill: Millrace, stopped: () => boolean): Promise<void> {
  say(`Millrace: ${thousands(args.events)} flights, ${args.workers} workers, files in ${dir}\n`)
  await freshTopics(mill, dir, args)
  const flights = await ingest(args.events, mill, stopped)
  if (stopped()) return

  // The one query object; each mode gives it its own input.
  const query = delaysPerOriginAndHour(mill.read.topic(FLIGHTS_TOPIC, Flight))
  const directory = new GroupDirectory()
  const figures: ModeFigures[] = []
  let reference: GroupResults | undefined
  if (args.modes.some((mode) => mode !== 'batch')) {
    say(
      `live replay at ${thousands(args.rate)} records/s into ${args.modes
        .filter((m) => m !== 'batch')
        .map(liveTopic)
        .join(', ')}`,
    )
  }
  for (const mode of args.modes) {
    if (stopped()) return
    const results = new GroupResults(directory)
    const modeRun: ModeRun = {
      mill,
      query,
      flights,
      rate: args.rate,
      results,
      progress: progress(mode, flights.count, out),
      stopped,
    }
    const measured =
      mode === 'batch'
        ? await runBatchMode(modeRun, FLIGHTS_TOPIC)
        : await runStreamingMode(modeRun, mode, liveTopic(mode))
    const comparison = reference === undefined ? undefined : compareResults(reference, results)
    figures.push({ ...measured, ...(comparison === undefined ? {} : { comparison }) })
    reference ??= results
  }
  if (stopped() || reference === undefined) return
  report(args, dir, flights, figures, reference)
  say(`  loads of the partitions of ${FLIGHTS_TOPIC} (keyed by origin):`)
  say(partitionBars(await partitionLoads(mill)))
  say(`\n${directoryListing(dir)}`)
}

function report(
  args: DemoArguments,
  dir: string,
  flights: FlightColumns,
  figures: readonly ModeFigures[],
  reference: GroupResults,
): void {
  const style = { colours: out.isTTY === true }
  say(`\n${comparisonTable(figures, style)}`)
  say('  Latency: from the time a record was meant to be sent to the row at the sink. A batch answers for what was')
  say('  stored before, so its latency is the age of the data. Rows are equal where every group has the same flights')
  say('  and greatest delay, and the same average delay to a relative 1e-12.')
  for (const { mode, comparison } of figures) {
    if (comparison === undefined || comparison.equal) continue
    say(`  ${mode} differs, first in ${JSON.stringify(comparison.example)}`)
    process.exitCode = 1
  }
  // A thousandth of all flights: smaller airports would lead by one bad day.
  const origins = mostDelayedOrigins(reference, Math.ceil(flights.count / 1000), ORIGINS_SHOWN)
  say(
    `\n  most delayed origins (of ${thousands(reference.groups)} hours and origins in ${dir === args.dir ? dir : args.dir}):`,
  )
  say(originsTable(origins, style))
  say()
}

/** Topics and checkpoints of an earlier start are replaced, all else in the folder stays. */
async function freshTopics(mill: Millrace, dir: string, args: DemoArguments): Promise<void> {
  const wanted = [FLIGHTS_TOPIC, ...args.modes.filter((mode) => mode !== 'batch').map(liveTopic)]
  const present = mill.topics.list().map((topic) => topic.name)
  for (const name of wanted) {
    if (present.includes(name)) await mill.topics.delete(name)
    rmSync(join(dir, 'checkpoints', name), { recursive: true, force: true })
    await mill.topics.create(name, { partitions: PARTITIONS, schema: Flight })
  }
}

async function ingest(events: number, mill: Millrace, stopped: () => boolean): Promise<FlightColumns> {
  const window = new SendWindow(mill.producer(), FLIGHTS_TOPIC)
  const bar = progress('ingest', events, out)
  const slices: FlightColumns[] = []
  let sent = 0
  for await (const slice of readFlights(events)) {
    slices.push(slice)
    for (let from = 0; from < slice.count && !stopped(); from += SEND_RECORDS) {
      const to = Math.min(slice.count, from + SEND_RECORDS)
      const now = wallClock()
      await window.send(flightMessages(slice, from, to, () => now))
      sent += to - from
      bar.update(sent)
    }
    if (stopped()) break
  }
  await window.flush()
  bar.finish(sent, 'all acknowledged')
  return joinFlights(slices)
}

async function partitionLoads(mill: Millrace): Promise<number[]> {
  const { partitionStates } = await mill.topics.describe(FLIGHTS_TOPIC)
  return partitionStates.map((partition) => partition.logEndOffset - partition.logStartOffset)
}

const command = demoCommand(main)
command.parseAsync().catch((error: unknown) => {
  process.stderr.write(
    `${error instanceof MillraceError ? `${error.code}: ${error.message}` : String((error as Error).stack)}\n`,
  )
  process.exitCode = 1
})
