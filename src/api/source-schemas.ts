import { scalar, structType } from '../types/data-type.js'

/** Kafka's columns of a record, as Spark's Kafka source names and types them. Headers are Kafka's own bytes. */
export const logRecordSchema = structType([
  { name: 'key', type: scalar('binary'), nullable: true },
  { name: 'value', type: scalar('binary'), nullable: true },
  { name: 'topic', type: scalar('string'), nullable: false },
  { name: 'partition', type: scalar('int'), nullable: false },
  { name: 'offset', type: scalar('long'), nullable: false },
  { name: 'timestamp', type: scalar('timestamp'), nullable: false },
  { name: 'timestampType', type: scalar('int'), nullable: false },
  { name: 'headers', type: scalar('binary'), nullable: true },
])

/** Spark's rate source: when a row was made, and its number. */
export const rateSchema = structType([
  { name: 'timestamp', type: scalar('timestamp'), nullable: false },
  { name: 'value', type: scalar('long'), nullable: false },
])
