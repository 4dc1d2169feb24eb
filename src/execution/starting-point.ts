import type { Recovered } from './query-checkpoint.js'
import type { QuerySources } from './query-sources.js'

/** Where a run begins. */
export interface StartingPoint {
  readonly epoch: number
  /** By input partition. */
  readonly offsets: number[]
  readonly maxEventTimes: ReadonlyMap<number, number>
}

/** Behind the last epoch that was committed, else at `starts`; a partition that was not there then is read from its beginning. */
export function startingPoint(
  source: QuerySources,
  starts: readonly number[],
  committed: Recovered['committed'],
): StartingPoint {
  const offsets = source.earliest()
  const maxEventTimes = new Map<number, number>()
  if (committed === undefined) {
    for (let i = 0; i < offsets.length; i++) offsets[i] = starts[i] ?? (offsets[i] as number)
    return { epoch: 0, offsets, maxEventTimes }
  }
  for (const p of committed.end.positions) {
    offsets[p.index] = p.offset
    maxEventTimes.set(p.index, p.maxEventTime)
  }
  return { epoch: committed.epoch + 1, offsets, maxEventTimes }
}
