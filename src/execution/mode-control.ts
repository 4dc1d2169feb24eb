import type { Env } from '../common/env.js'
import type { QuerySources } from './query-sources.js'

/** What the user has asked of a running query. */
export type Wish = 'none' | 'stop' | 'drain'

/** One epoch as a mode asks for it. */
export interface EpochGoal {
  /** Offsets by input partition; null: it ends where the tasks are when they hear of it. */
  readonly ends: readonly number[] | null
  /** The input is over: windows close. */
  readonly final: boolean
  /** Go on reading behind the epoch's end. */
  readonly open: boolean
}

/** What a mode may do. The modes differ in when an epoch begins and ends, and in nothing else. */
export interface ModeControl {
  readonly env: Env
  readonly source: QuerySources
  /** Up to where epochs are committed. */
  offsets(): readonly number[]
  wish(): Wish
  /** Where a run that ends does, fixed when the query was started. */
  target(): readonly number[]
  /** Somebody waits for everything there is to be processed: no time is lost until the next tick. */
  isAwaited(): boolean
  runEpoch(goal: EpochGoal): Promise<void>
  /** By Spark's rule of lateness: an epoch without data would close something. */
  hasTimeMoved(): boolean
  /** Until a timer of processing time expires, in milliseconds; Infinity where there is none, 0 or less where one has. */
  dueIn(): number
  /** Lets the tasks read whatever comes. */
  runOpen(): void
  /** Until something happens, at most `ms`. */
  idle(ms: number, hasData: boolean): Promise<void>
}

export function hasDataBehind(control: ModeControl, ends: readonly number[]): boolean {
  const offsets = control.offsets()
  return ends.some((end, i) => end > (offsets[i] as number))
}
