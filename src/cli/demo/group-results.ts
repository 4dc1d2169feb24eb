/**
 * What each mode found, as the last row of every group. The three results are held as numbers beside one
 * common directory of groups: 424 000 groups as objects, three times over, would be half a gigabyte.
 */
export interface DelayRow {
  readonly origin: string
  readonly windowStart: number
  readonly flights: number
  readonly averageDelay: number
  readonly maxDelay: number
}

export class GroupDirectory {
  readonly #slots = new Map<string, Map<number, number>>()
  readonly #origins: string[] = []
  readonly #windowStarts: number[] = []

  get size(): number {
    return this.#origins.length
  }

  slotOf(origin: string, windowStart: number): number {
    let windows = this.#slots.get(origin)
    if (windows === undefined) {
      windows = new Map()
      this.#slots.set(origin, windows)
    }
    let slot = windows.get(windowStart)
    if (slot === undefined) {
      slot = this.#origins.length
      windows.set(windowStart, slot)
      this.#origins.push(origin)
      this.#windowStarts.push(windowStart)
    }
    return slot
  }

  originOf(slot: number): string {
    return this.#origins[slot] ?? ''
  }

  windowStartOf(slot: number): number {
    return this.#windowStarts[slot] ?? 0
  }
}

const FIRST_CAPACITY = 1 << 12

/** The result of one mode. */
export class GroupResults {
  /** 0 where the mode has no row for the group: a group without a flight does not exist. */
  #flights = new Float64Array(FIRST_CAPACITY)
  #averages = new Float64Array(FIRST_CAPACITY)
  #maxima = new Float64Array(FIRST_CAPACITY)
  #groups = 0

  constructor(readonly directory: GroupDirectory) {}

  /** Groups that have a row. */
  get groups(): number {
    return this.#groups
  }

  put(row: DelayRow): void {
    const slot = this.directory.slotOf(row.origin, row.windowStart)
    if (slot >= this.#flights.length) this.#grow(slot)
    if (this.#flights[slot] === 0) this.#groups += 1
    this.#flights[slot] = row.flights
    this.#averages[slot] = row.averageDelay
    this.#maxima[slot] = row.maxDelay
  }

  get(slot: number): DelayRow | undefined {
    const flights = this.#flights[slot] ?? 0
    if (flights === 0) return undefined
    return {
      origin: this.directory.originOf(slot),
      windowStart: this.directory.windowStartOf(slot),
      flights,
      averageDelay: this.#averages[slot] as number,
      maxDelay: this.#maxima[slot] as number,
    }
  }

  #grow(slot: number): void {
    const capacity = Math.max(slot + 1, this.#flights.length * 2)
    const grown = (old: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> => {
      const wider = new Float64Array(capacity)
      wider.set(old)
      return wider
    }
    this.#flights = grown(this.#flights)
    this.#averages = grown(this.#averages)
    this.#maxima = grown(this.#maxima)
  }
}

/** Averages may differ in their last digits with the order of addition; counts and maxima may not. */
export const AVERAGE_TOLERANCE = 1e-12

export interface Comparison {
  readonly equal: boolean
  readonly groups: number
  readonly different: number
  /** The first group that differs, as both sides have it. */
  readonly example?: { readonly left: DelayRow | undefined; readonly right: DelayRow | undefined }
}

export function compareResults(left: GroupResults, right: GroupResults): Comparison {
  let different = 0
  let groups = 0
  let example: Comparison['example']
  for (let slot = 0; slot < left.directory.size; slot += 1) {
    const a = left.get(slot)
    const b = right.get(slot)
    if (a === undefined && b === undefined) continue
    groups += 1
    if (sameRow(a, b)) continue
    different += 1
    example ??= { left: a, right: b }
  }
  return { equal: different === 0, groups, different, ...(example === undefined ? {} : { example }) }
}

function sameRow(a: DelayRow | undefined, b: DelayRow | undefined): boolean {
  if (a === undefined || b === undefined) return false
  const scale = Math.max(Math.abs(a.averageDelay), Math.abs(b.averageDelay))
  return (
    a.flights === b.flights &&
    a.maxDelay === b.maxDelay &&
    Math.abs(a.averageDelay - b.averageDelay) <= AVERAGE_TOLERANCE * scale
  )
}

export interface OriginDelay {
  readonly origin: string
  readonly flights: number
  readonly averageDelay: number
  readonly maxDelay: number
}

/** Origins by average delay, greatest first; those with few flights are left out, since one storm would lead the list. */
export function mostDelayedOrigins(results: GroupResults, leastFlights: number, count: number): OriginDelay[] {
  const totals = new Map<string, { flights: number; minutes: number; maxDelay: number }>()
  for (let slot = 0; slot < results.directory.size; slot += 1) {
    const row = results.get(slot)
    if (row === undefined) continue
    const total = totals.get(row.origin) ?? { flights: 0, minutes: 0, maxDelay: Number.NEGATIVE_INFINITY }
    total.flights += row.flights
    total.minutes += row.averageDelay * row.flights
    total.maxDelay = Math.max(total.maxDelay, row.maxDelay)
    totals.set(row.origin, total)
  }
  return [...totals]
    .filter(([, total]) => total.flights >= leastFlights)
    .map(([origin, total]) => ({
      origin,
      flights: total.flights,
      averageDelay: total.minutes / total.flights,
      maxDelay: total.maxDelay,
    }))
    .sort((a, b) => b.averageDelay - a.averageDelay)
    .slice(0, count)
}
