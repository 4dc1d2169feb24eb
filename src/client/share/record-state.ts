/**
 * Kafka's states of a record in a share group, by Kafka's numbers.
 *
 *   AVAILABLE ─ acquire ─▶ ACQUIRED ─ accept ─▶ ACKNOWLEDGED
 *       ▲                     │ ├── reject, or the last delivery has failed ─▶ ARCHIVED
 *       │                     │ └── the same where there are dead letters ─▶ ARCHIVING ─ it is written ─▶ ARCHIVED
 *       └── release, lock over ┘
 */
export const RecordState = { available: 0, acquired: 1, acknowledged: 2, archiving: 3, archived: 4 } as const
export type RecordState = (typeof RecordState)[keyof typeof RecordState]

/** Offsets of one state. */
export interface StateBatch {
  readonly first: number
  readonly last: number
  readonly state: RecordState
  readonly deliveryCount: number
}
