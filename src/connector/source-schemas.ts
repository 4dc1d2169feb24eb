import { type StructType, scalar, structType } from '../types/data-type.js'

/** What the sources of fixed columns yield; who plans a query needs to know no more of them. */

/** The columns of `format('log')`, those of Spark's Kafka source. */
export const logSchema: StructType = structType([
  { name: 'key', type: scalar('binary'), nullable: true },
  { name: 'value', type: scalar('binary'), nullable: true },
  { name: 'topic', type: scalar('string'), nullable: false },
  { name: 'partition', type: scalar('int'), nullable: false },
  { name: 'offset', type: scalar('long'), nullable: false },
  { name: 'timestamp', type: scalar('timestamp'), nullable: false },
  { name: 'timestampType', type: scalar('int'), nullable: false },
])

/** Spark's rate source: `value` counts from 0, `timestamp` is when the row was due. */
export const rateSchema: StructType = structType([
  { name: 'timestamp', type: scalar('timestamp'), nullable: false },
  { name: 'value', type: scalar('long'), nullable: false },
])
