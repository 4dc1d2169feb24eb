import type { IsolationLevel } from '../log/partition-reader.js'

/** Queries read committed records, so that a chain of them is exact; the option `isolationLevel` says otherwise. */
export function isolationOf(options: Readonly<Record<string, string>>): IsolationLevel {
  return options.isolationLevel === 'read_uncommitted' ? 'read_uncommitted' : 'read_committed'
}
