import type { BufferViews } from '../types/block.js'
import type { ScannedRows } from './row-origin.js'
import type { UserPipeline } from './user-pipeline.js'

/** Blocks of one input partition that may be under way: as long as the first waits to be tried again, which may be long. */
const FLIGHTS_MAX = 64

/** What one block after the other goes through. */
interface Lane {
  readonly pipeline: UserPipeline
  /** Where there is a failure policy. */
  readonly origin: ScannedRows | undefined
}

interface Flight {
  readonly lane: Lane
  readonly rows: number
  /** Where to go on to have the block again. */
  readonly offset: number
  /** The greatest event time of the partition behind it. */
  readonly eventTime: number
  isDone: boolean
}

/** The block at hand of an input partition, which may be gone when `begin` returns. */
export interface BlockAtHand {
  readonly views: BufferViews
  readonly position: number
  readonly from: number
  readonly to: number
}

export interface FlightSurroundings {
  /** What was under way can be landed. */
  readonly wake: () => void
  readonly onFailure: (error: unknown) => void
  readonly newLane: () => Lane
  /** See SourceCell, of the partition. */
  readonly cells: Float64Array
}

/**
 * Blocks of one input partition on their way through the user's functions, in the order of the log. A block whose functions give values is landed as soon as it
 * has begun; for one that has given promises the next waits. Where rows have failed and wait for their next attempt, the blocks behind go on meanwhile, and land
 * after it.
 */
export class Flights {
  readonly #line: Flight[] = []
  readonly #free: Lane[] = []
  /** Behind what has landed: what the watermark may say of the partition. */
  landedEventTime: number

  constructor(private readonly around: FlightSurroundings) {
    this.landedEventTime = around.cells[0] as number
  }

  get isEmpty(): boolean {
    return this.#line.length === 0
  }

  get mayBegin(): boolean {
    const last = this.#line.at(-1)
    return last === undefined || (this.isRetrying && this.#line.length < FLIGHTS_MAX && isSettled(last))
  }

  /** The first block in line waits for another attempt, or is at it: an epoch that may leave it out need not wait. */
  get isRetrying(): boolean {
    const [first] = this.#line
    return first !== undefined && !first.isDone && first.lane.pipeline.isRetrying
  }

  /** Where to go on to have what has not landed again; undefined where all has. */
  get offset(): number | undefined {
    return this.#line[0]?.offset
  }

  /** How many rows have landed at once. `offset`: where to go on to have the block again; `place`: as it is called. */
  begin({ views, position, from, to }: BlockAtHand, offset: number, place: string): number {
    const { cells, wake, onFailure } = this.around
    const lane = this.#free.pop() ?? this.around.newLane()
    const { pipeline, origin } = lane
    const isAlone = this.isEmpty
    origin?.forget()
    const under = pipeline.start(views, position, from, to, place, origin)
    const rows = to - from
    const flight: Flight = { lane, rows, offset, eventTime: cells[0] as number, isDone: under === undefined }
    if (flight.isDone && isAlone) return this.#landed(flight)
    origin?.keep(from, to)
    this.#line.push(flight)
    under?.then(() => {
      flight.isDone = true
      wake()
    }, onFailure)
    return 0
  }

  /** How many rows have landed since it was asked last. */
  land(): number {
    let rows = 0
    while (this.#line[0]?.isDone === true) rows += this.#landed(this.#line.shift() as Flight)
    return rows
  }

  /** Nobody is called again. */
  close(): void {
    for (const { lane } of this.#line) lane.pipeline.close()
  }

  #landed({ lane, rows, eventTime }: Flight): number {
    lane.pipeline.land()
    // Rows may be stamped behind the last function, when they land.
    this.landedEventTime = lane.pipeline.stampsLanding ? (this.around.cells[0] as number) : eventTime
    this.#free.push(lane)
    return rows
  }
}

/** Whoever comes behind does not add to the calls that are under way. */
function isSettled({ isDone, lane }: Flight): boolean {
  return isDone || lane.pipeline.isRetrying
}
