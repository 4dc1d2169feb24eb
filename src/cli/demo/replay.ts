import { flightMessages, SEND_RECORDS, type SendWindow, wallClock } from './flights.js'
import type { FlightColumns } from './flights-file.js'

/**
 * Sends the flights at a fixed rate, as an open loop: record i is meant for the time start + i / rate, whatever the
 * engine is doing, and carries that time. If the sender falls behind, the records it sends late still carry the
 * time that they were meant for, so a slow engine cannot hide its delay by slowing down the sender.
 */
export async function replay(
  flights: FlightColumns,
  window: SendWindow,
  recordsPerSecond: number,
  onSent: (sent: number) => void,
  stopped: () => boolean,
): Promise<void> {
  const start = wallClock()
  const intervalMs = 1000 / recordsPerSecond
  let sent = 0
  while (sent < flights.count && !stopped()) {
    const due = Math.min(flights.count, Math.floor((wallClock() - start) / intervalMs) + 1)
    if (due > sent) {
      const to = Math.min(due, sent + SEND_RECORDS)
      await window.send(flightMessages(flights, sent, to, (i) => start + i * intervalMs))
      sent = to
      onSent(sent)
    }
    // One turn of the event loop even when late: rows that have come are delivered there.
    await (due > sent ? turn() : pause(1))
  }
  await window.flush()
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
