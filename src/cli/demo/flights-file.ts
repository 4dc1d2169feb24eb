import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import * as zlib from 'node:zlib'
import { MillraceError } from '../../common/errors.js'

/**
 * The flights of the package vega-datasets: three million departures in the United States, January to
 * June 2001, sorted by date. The file is read row group by row group and each column is packed into a
 * typed array at once, since three million objects would be most of a gigabyte.
 */
export interface FlightColumns {
  readonly count: number
  /** Departure, epoch milliseconds. */
  readonly date: Float64Array
  /** Minutes; negative is early. */
  readonly delay: Int16Array
  readonly distance: Int16Array
  /** Index into `airports`. */
  readonly origin: Uint16Array
  readonly destination: Uint16Array
  readonly airports: readonly string[]
}

/** Gives the flights in slices as they are read, in the order of the file, `events` in all. */
export async function* readFlights(events: number): AsyncGenerator<FlightColumns> {
  const { asyncBufferFromFile, parquetMetadataAsync, parquetRead } = await parquetReader()
  const file = await asyncBufferFromFile(flightsPath())
  const metadata = await parquetMetadataAsync(file)
  const decompress = await zstdDecompressor()
  const airports = new AirportNames()
  let rowStart = 0
  for (const group of metadata.row_groups) {
    const rows = Number(group.num_rows)
    const count = Math.min(rows, events - rowStart)
    if (count <= 0) return
    const columns = {
      count,
      date: new Float64Array(count),
      delay: new Int16Array(count),
      distance: new Int16Array(count),
      origin: new Uint16Array(count),
      destination: new Uint16Array(count),
      airports: airports.names,
    }
    await parquetRead({
      file,
      metadata,
      rowStart,
      rowEnd: rowStart + count,
      compressors: { ZSTD: decompress },
      parsers: { timestampFromMicroseconds: (micros: bigint) => Number(micros) / 1000 },
      onChunk(chunk) {
        // A chunk may reach beyond the rows that were asked for, on either side.
        const from = Math.max(chunk.rowStart, rowStart)
        const to = Math.min(chunk.rowEnd, rowStart + count)
        const target = columnOf(columns, chunk.columnName)
        const names = chunk.columnName === 'origin' || chunk.columnName === 'destination'
        for (let row = from; row < to; row += 1) {
          const value: unknown = chunk.columnData[row - chunk.rowStart]
          target[row - rowStart] = names ? airports.indexOf(String(value)) : Number(value)
        }
      },
    })
    yield columns
    rowStart += rows
  }
}

/** Rows of many slices as one. */
export function joinFlights(slices: readonly FlightColumns[]): FlightColumns {
  const count = slices.reduce((sum, slice) => sum + slice.count, 0)
  const all = {
    count,
    date: new Float64Array(count),
    delay: new Int16Array(count),
    distance: new Int16Array(count),
    origin: new Uint16Array(count),
    destination: new Uint16Array(count),
    airports: slices.at(-1)?.airports ?? [],
  }
  let at = 0
  for (const slice of slices) {
    all.date.set(slice.date, at)
    all.delay.set(slice.delay, at)
    all.distance.set(slice.distance, at)
    all.origin.set(slice.origin, at)
    all.destination.set(slice.destination, at)
    at += slice.count
  }
  return all
}

type PackedColumns = Pick<FlightColumns, 'date' | 'delay' | 'distance' | 'origin' | 'destination'>

function columnOf(columns: PackedColumns, name: string): Float64Array | Int16Array | Uint16Array {
  switch (name) {
    case 'date':
      return columns.date
    case 'delay':
      return columns.delay
    case 'distance':
      return columns.distance
    case 'origin':
      return columns.origin
    case 'destination':
      return columns.destination
    default:
      throw new MillraceError('DEMO_DATA_DIFFERS', `the flights file has a column '${name}'`, {
        detail: 'expected date, delay, distance, origin and destination',
        hint: 'install vega-datasets 3',
      })
  }
}

class AirportNames {
  readonly names: string[] = []
  readonly #indices = new Map<string, number>()

  indexOf(name: string): number {
    const known = this.#indices.get(name)
    if (known !== undefined) return known
    this.#indices.set(name, this.names.length)
    this.names.push(name)
    return this.names.length - 1
  }
}

/** The demo's data and their reader are development dependencies: an installed package does not carry them. */
const missing = (cause: unknown): MillraceError =>
  new MillraceError('DEMO_DATA_MISSING', 'the demo needs the packages vega-datasets, hyparquet and fzstd', {
    detail: cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause),
    hint: 'npm install --save-dev vega-datasets@3 hyparquet@1 fzstd@0.1',
    cause,
  })

function flightsPath(): string {
  try {
    // The package exports its build alone; the data lie beside it.
    const build = createRequire(import.meta.url).resolve('vega-datasets')
    return join(dirname(build), '..', 'data', 'flights-3m.parquet')
  } catch (error) {
    throw missing(error)
  }
}

async function parquetReader(): Promise<typeof import('hyparquet')> {
  try {
    return await import('hyparquet')
  } catch (error) {
    throw missing(error)
  }
}

/** Node's own from 22.15 on, which is ten times as fast; Node 20 has none. */
async function zstdDecompressor(): Promise<(input: Uint8Array, outputLength: number) => Uint8Array> {
  const own: unknown = Reflect.get(zlib, 'zstdDecompressSync')
  if (typeof own === 'function') return (input) => own(input) as Uint8Array
  try {
    const { decompress } = await import('fzstd')
    return (input, outputLength) => decompress(input, new Uint8Array(outputLength))
  } catch (error) {
    throw missing(error)
  }
}
