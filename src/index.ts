/**
 * The public names of Millrace, one by one.
 *
 *   import { col, count, Millrace, sum, t, window } from 'millrace'
 *
 *   const mill = await Millrace.open()
 *   const Click = t.struct({ page: t.string, ts: t.timestamp, price: t.double })
 *   const clicks = mill.createDataFrame([{ page: '/a', ts: 0, price: 9.5 }], Click)
 *   await clicks.filter(col('price').gt(1)).groupBy(window('ts', '1 minute'), 'page').agg({ n: count(), sum: sum('price') }).show()
 *   await mill.close()
 */

// Queries
export type { ArrowTable } from './api/arrow-table.js'
export type { BatchProgress } from './api/batch-run.js'
// Columns and functions
export { type AnyColumn, type CastTarget, Column, type ColumnValue } from './api/column.js'
export type { DataFrame, GroupedData } from './api/dataframe.js'
export {
  abs,
  acos,
  addMonths,
  asc,
  ascii,
  asin,
  atan,
  atan2,
  avg,
  base64,
  bround,
  type ColumnOrName,
  cbrt,
  ceil,
  chr,
  coalesce,
  col,
  column,
  concat,
  concatWs,
  contains,
  cos,
  cosh,
  count,
  dateAdd,
  datediff,
  dateFormat,
  dateFromUnixDate,
  dateLit,
  dateSub,
  dateTrunc,
  dayofmonth,
  dayofweek,
  dayofyear,
  degrees,
  desc,
  endsWith,
  exp,
  expm1,
  floor,
  greatest,
  hash,
  hex,
  hour,
  hypot,
  ifnull,
  initcap,
  instr,
  isnan,
  isnull,
  lastDay,
  least,
  left,
  length,
  levenshtein,
  like,
  lit,
  ln,
  locate,
  log,
  log1p,
  log2,
  log10,
  lower,
  lpad,
  ltrim,
  makeDate,
  max,
  mean,
  min,
  minute,
  month,
  monthsBetween,
  nanvl,
  negate,
  not,
  nullif,
  nvl,
  nvl2,
  octetLength,
  pmod,
  pow,
  quarter,
  radians,
  regexpCount,
  regexpExtract,
  regexpReplace,
  repeat,
  replace,
  reverse,
  right,
  rlike,
  round,
  rpad,
  rtrim,
  second,
  sign,
  signum,
  sin,
  sinh,
  splitPart,
  sqrt,
  startsWith,
  substring,
  substringIndex,
  sum,
  tan,
  tanh,
  timestampMillis,
  timestampSeconds,
  toDate,
  toTimestamp,
  translate,
  trim,
  trunc,
  unixDate,
  unixMillis,
  unixSeconds,
  upper,
  weekday,
  weekofyear,
  when,
  window,
  year,
} from './api/functions.js'
// The engine
export { type EngineDescription, Millrace } from './api/millrace.js'
export type { MillraceOptions } from './api/open-options.js'
export type { DataFrameReader } from './api/reader.js'
export type { ForeachFunction, ForeachWriter } from './api/sink/foreach-sink.js'
export type { ExplainMode, StreamingQuery } from './api/streaming-query.js'
export type { Trigger } from './api/trigger.js'
export type { DataStreamWriter } from './api/writer.js'
export type { Assignment, AssignorInput, PartitionAssignor, TopicPartition } from './client/assignor.js'
export { type AssignorName, PartitionAssigners } from './client/assignors.js'
export { type Compression, CompressionTypes } from './client/compression-types.js'
export type { Consumer, IteratedMessage, TopicPartitionOffset } from './client/consumer.js'
export type { ConsumerOptions } from './client/consumer-options.js'
export type { GroupDescription, GroupListing, GroupPartition, Groups, OffsetChange } from './client/groups.js'
export type { AutoOffsetReset } from './client/offset-reset.js'
export type {
  Producer,
  ProducerBatch,
  ProducerOptions,
  ProducerRecord,
  RecordMetadata,
} from './client/producer.js'
export type { Acks } from './client/producer-settings.js'
export type { ConsumerMessage } from './client/record-decoder.js'
export type { ConsumerBatch, EachBatchPayload, EachMessagePayload, RunOptions } from './client/run-options.js'
export type { SeekTarget } from './client/seek-target.js'
export type { ConsumerSubscription } from './client/subscription.js'
export type { SendOffsets, Transaction } from './client/transaction.js'
export { type ErrorShape, MillraceError } from './common/errors.js'
export type { Logger } from './common/logger.js'
export type { StreamingQueryProgress, StreamingQueryStatus } from './execution/progress.js'
export type { TopicAlteration, TopicDescription, TopicFacts, TopicOptions } from './execution/session-topics.js'
// Topics, producers, consumers
export type { RecordExplanation } from './log/explain-record.js'
export type { CompactedPartition } from './log/log-cleaner.js'
export type { OutputMode } from './plan/physical-plan.js'
export type { DataType, Field, StructType } from './types/data-type.js'
export type { Row } from './types/row-reader.js'
// Types and rows
export { SchemaType, StructSchema, t } from './types/schema.js'
