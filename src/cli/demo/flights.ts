import type { DataFrame } from '../../api/dataframe.js'
import { avg, count, max, window } from '../../api/functions.js'
import type { Millrace } from '../../api/millrace.js'
import { t } from '../../types/schema.js'
import type { FlightColumns } from './flights-file.js'

/** The demo's records and its one query. */
export const Flight = t.struct({
  date: t.timestamp,
  delay: t.int,
  distance: t.int,
  origin: t.string,
  destination: t.string,
  /** When the producer meant to send the record, epoch milliseconds with fractions: latency is counted from here. */
  sentAt: t.double,
})
export type Flight = t.infer<typeof Flight>

export const PARTITIONS = 8
/** Records of one call of `send`. */
export const SEND_RECORDS = 10_000

/**
 * Flights, average and greatest delay per origin and hour. `sentAt` takes no part in the comparison of the modes: it
 * tells when the newest record of a row was sent.
 */
export function delaysPerOriginAndHour(flights: DataFrame<Flight>) {
  return flights
    .withWatermark('date', '1 hour')
    .groupBy(window('date', '1 hour'), 'origin')
    .agg({ flights: count(), averageDelay: avg('delay'), maxDelay: max('delay'), sentAt: max('sentAt') })
}

export type FlightMessage = { readonly key: string; readonly value: Flight }

/** Flights [from, to) as messages; `sentAt` gives the intended send time of each. */
export function flightMessages(
  flights: FlightColumns,
  from: number,
  to: number,
  sentAt: (index: number) => number,
): FlightMessage[] {
  const messages: FlightMessage[] = []
  const { airports } = flights
  for (let i = from; i < to; i += 1) {
    const origin = airports[flights.origin[i] as number] as string
    messages.push({
      // The record's own timestamp is the time of the send: retention and segments go by it, and these flights are old.
      key: origin,
      value: {
        date: flights.date[i] as number,
        delay: flights.delay[i] as number,
        distance: flights.distance[i] as number,
        origin,
        destination: airports[flights.destination[i] as number] as string,
        sentAt: sentAt(i),
      },
    })
  }
  return messages
}

/** Wall clock with fractions of a millisecond. */
export const wallClock = (): number => performance.timeOrigin + performance.now()

export type Producer = ReturnType<Millrace['producer']>

/** Keeps a few sends on their way, so that a sync of the disk does not stop the next one from being prepared. */
export class SendWindow {
  readonly #inFlight = new Set<Promise<unknown>>()

  constructor(
    readonly producer: Producer,
    readonly topic: string,
    readonly most = 8,
  ) {}

  async send(messages: FlightMessage[]): Promise<void> {
    while (this.#inFlight.size >= this.most) await Promise.race(this.#inFlight)
    const sent = this.producer.send({ topic: this.topic, messages }).finally(() => this.#inFlight.delete(sent))
    this.#inFlight.add(sent)
    // A failure is thrown by the next wait; until then it must not count as unhandled.
    sent.catch(() => {})
  }

  async flush(): Promise<void> {
    await Promise.all(this.#inFlight)
  }
}
