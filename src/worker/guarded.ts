/** All of a failure policy on a worker, see guarding.ts. */
export { OriginalRecords } from '../connector/original-records.js'
export { CarefulLoop, CarefulTableLoop } from './careful-rows.js'
export { FailureGuard } from './failure-guard.js'
export { OwnRows, ScannedRows, SourceRows } from './row-origin.js'
export { TaskGuards } from './task-guards.js'
