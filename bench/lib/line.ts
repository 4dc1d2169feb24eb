/**
 * One line of the table that `npm run bench` prints: a figure, the limit that a primitive of the same run sets to
 * it, their ratio, and what is required of it.
 */
export interface Context {
  /** Small sizes and few repeats: all lines together stay under a minute. */
  readonly quick: boolean
  /** An empty directory on a real disk, removed afterwards. */
  readonly directory: string
  /** Of the suite nexmark: how many events, workers, and which queries. Left out: what its file says. */
  readonly events?: number
  readonly workers?: number
  readonly queries?: readonly string[]
  /** A remark for whoever watches; not part of the result. */
  log(text: string): void
}

export interface Limit {
  readonly what: string
  /** In the unit of the figure. */
  readonly value: number
}

export interface Required {
  readonly atLeast?: number
  readonly atMost?: number
  /** Share of the limit, 0 to 1 (more where the limit can be passed). */
  readonly ofLimit?: number
  /** True: one of the conditions is enough. Default: all must hold. */
  readonly either?: boolean
}

export interface Line {
  readonly what: string
  readonly figure: number
  readonly unit: 'records/s' | 'records/CPU s' | 'ms' | 'times' | 'MB' | '% of a core'
  /** Of the repeats; absent where there was one. */
  readonly spread?: { readonly min: number; readonly max: number }
  readonly limit?: Limit
  readonly required?: Required
  /** What else was seen: hiccups, CPU seconds, sizes. One short line each. */
  readonly notes?: readonly string[]
}

/** A file of bench/main/ exports one of these as its default. */
export interface Bench {
  /** Name on the command line. */
  readonly name: string
  /** Group of lines on the command line: ingest scan group latency host start, which run when nothing is named, and log and nexmark. */
  readonly suite: string
  /** Results are checked against a slow reference before time counts: a wrong result throws. */
  run(context: Context): Promise<readonly Line[]>
}

export function ratioOf(line: Line): number | undefined {
  return line.limit === undefined ? undefined : line.figure / line.limit.value
}

/** Undefined where nothing is required. */
export function reached(line: Line): boolean | undefined {
  const required = line.required
  if (required === undefined) return undefined
  const ratio = ratioOf(line)
  const conditions: boolean[] = []
  if (required.atLeast !== undefined) conditions.push(line.figure >= required.atLeast)
  if (required.atMost !== undefined) conditions.push(line.figure <= required.atMost)
  if (required.ofLimit !== undefined) conditions.push(ratio !== undefined && ratio >= required.ofLimit)
  return required.either === true ? conditions.some(Boolean) : conditions.every(Boolean)
}
