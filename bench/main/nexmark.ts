import type { Millrace } from 'millrace'
import type { Bench, Line } from '../lib/line.js'
import { check, measure } from '../lib/measure.js'
import { NexmarkEvents } from '../lib/nexmark/events.js'
import { type AllEvents, collectEvents, difference, expected } from '../lib/nexmark/expected.js'
import { peersText, requiredRates } from '../lib/nexmark/peers.js'
import { Inputs, type NexmarkQuery, queries } from '../lib/nexmark/queries.js'
import { CHUNK_EVENTS, fillNexmark, openNexmark } from '../lib/nexmark/topics.js'

/**
 * Nexmark from a typed log: events of the whole stream per CPU second of the process, start and end of the query included. A query is run twice over
 * a small stream first, as it is timed and as a query over bounded rows, and both have to give what a loop by hand gives.
 */
const EVENTS = 10e6
const EVENTS_QUICK = 100_000
const EVENTS_CHECKED = 250_000
/** Speed over fewer says nothing: starting the query is most of it. */
const EVENTS_JUDGED = 1e6

const bench: Bench = {
  name: 'nexmark',
  suite: 'nexmark',
  async run({ quick, log, events: asked, workers = 1, queries: names }) {
    const events = asked ?? (quick ? EVENTS_QUICK : EVENTS)
    const wanted = queries.filter((query) => names === undefined || names.includes(query.name))
    check(wanted.length > 0, `no query is called ${names?.join(', ')}`)
    const eventsChecked = quick ? EVENTS_QUICK : EVENTS_CHECKED
    const small = await openNexmark(workers)
    const digest = await fillNexmark(small, eventsChecked)
    const all = eventsOf(eventsChecked)
    for (const query of wanted) await checkQuery(small, query, all)
    log(`checked on the first ${eventsChecked} events, SHA-256 ${digest}`)

    const mill = await openNexmark(workers)
    const start = performance.now()
    const digestOfAll = await fillNexmark(mill, events)
    log(`${events} events in ${((performance.now() - start) / 1000).toFixed(1)} s, SHA-256 ${digestOfAll}`)
    const lines: Line[] = []
    for (const query of wanted) {
      const isSmall = query.eventsMax !== undefined && query.eventsMax < events
      const [of, count] = isSmall ? ([small, eventsChecked] as const) : ([mill, events] as const)
      lines.push(await timeQuery(of, query, count, { quick, judged: events >= EVENTS_JUDGED }))
      log(`${query.name} done`)
    }
    await small.close()
    await mill.close()
    return lines
  },
}

function eventsOf(count: number): AllEvents {
  const stream = new NexmarkEvents()
  const chunks = []
  for (let taken = 0; taken < count; taken += CHUNK_EVENTS) {
    chunks.push(stream.take(Math.min(CHUNK_EVENTS, count - taken)))
  }
  return collectEvents(chunks)
}

async function checkQuery(mill: Millrace, { name, frame, how }: NexmarkQuery, events: AllEvents): Promise<void> {
  const wanted = expected[name]?.(events)
  check(wanted !== undefined && wanted.length > 0, `${name} has nothing to be held against`)
  const bounded = difference(await frame(new Inputs(mill, false)).collect(), wanted)
  check(bounded === null, `${name} over bounded rows: ${bounded}`)
  if (how === 'batch') return
  const stream = frame(new Inputs(mill, true)).writeStream.outputMode(how).format('memory').queryName(name)
  const query = await stream.trigger({ availableNow: true }).start()
  // Windows that are still open close here, as they do not when a stream stops.
  await query.drain()
  const streamed = difference(await mill.table(name).collect(), wanted)
  check(streamed === null, `${name} as a stream: ${streamed}`)
}

async function timeQuery(
  mill: Millrace,
  query: NexmarkQuery,
  events: number,
  { quick, judged }: { readonly quick: boolean; readonly judged: boolean },
): Promise<Line> {
  const { name, what, how } = query
  let rows = 0
  let stateBytes = 0
  const timing = await measure({ warmUp: 1, repeats: quick ? 1 : 3 }, async () => {
    if (how === 'batch') {
      rows = (await query.frame(new Inputs(mill, false)).collect()).length
      return
    }
    const writer = query.frame(new Inputs(mill, true)).writeStream.outputMode(how).format('noop')
    const run = await writer.trigger({ availableNow: true }).start()
    await run.awaitTermination()
    rows = run.lastProgress?.sink.numOutputRows ?? 0
    stateBytes = run.lastProgress?.stateOperators.reduce((sum, state) => sum + state.memoryUsedBytes, 0) ?? 0
  })
  const rate = requiredRates[name]
  const size = events === EVENTS ? '' : `, ${events} events`
  return {
    what: `${name} ${what} (${how === 'batch' ? 'bounded' : how}${size})`,
    figure: events / timing.cpuSeconds,
    unit: 'records/CPU s',
    ...(rate === undefined || !judged ? {} : { required: { atLeast: rate } }),
    notes: [
      `${name}: ${(events / timing.median / 1000).toFixed(2)} M/s by the clock, ${rows} rows, ` +
        `${Math.round(stateBytes / 2 ** 20)} MiB of state; ${peersText(name)}`,
    ],
  }
}

export default bench
