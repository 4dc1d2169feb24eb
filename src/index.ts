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
export type { FailureOptions } from './api/failure-options.js'
// User code
export { fromModule, ModuleFunction } from './api/from-module.js'
export {
  abs,
  acos,
  addMonths,
  anyValue,
  approxCountDistinct,
  asc,
  ascii,
  asin,
  atan,
  atan2,
  avg,
  avgDistinct,
  base64,
  bitAndOf,
  bitOrOf,
  bitXorOf,
  boolAnd,
  boolOr,
  bround,
  type ColumnOrName,
  cbrt,
  ceil,
  chr,
  coalesce,
  col,
  collectList,
  collectSet,
  column,
  concat,
  concatWs,
  contains,
  corr,
  cos,
  cosh,
  count,
  countDistinct,
  countIf,
  covarPop,
  covarSamp,
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
  durationMillis,
  endsWith,
  every,
  exp,
  expm1,
  expr,
  first,
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
  kurtosis,
  last,
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
  maxBy,
  mean,
  median,
  min,
  minBy,
  minute,
  mode,
  month,
  monthsBetween,
  nanvl,
  negate,
  not,
  nullif,
  nvl,
  nvl2,
  octetLength,
  percentile,
  percentileApprox,
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
  sessionWindow,
  sign,
  signum,
  sin,
  sinh,
  skewness,
  some,
  splitPart,
  sqrt,
  startsWith,
  stddev,
  stddevPop,
  stddevSamp,
  substring,
  substringIndex,
  sum,
  sumDistinct,
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
  variance,
  varPop,
  varSamp,
  weekday,
  weekofyear,
  when,
  window,
  windowTime,
  year,
} from './api/functions.js'
export {
  aggregate,
  array,
  arrayAppend,
  arrayCompact,
  arrayContains,
  arrayDistinct,
  arrayExcept,
  arrayInsert,
  arrayIntersect,
  arrayJoin,
  arrayMax,
  arrayMin,
  arrayPosition,
  arrayPrepend,
  arrayRemove,
  arrayRepeat,
  arraySize,
  arraySort,
  arraysOverlap,
  arraysZip,
  arrayUnion,
  cardinality,
  createMap,
  elementAt,
  exists,
  filter,
  flatten,
  forall,
  get,
  mapConcat,
  mapContainsKey,
  mapEntries,
  mapFilter,
  mapFromArrays,
  mapFromEntries,
  mapKeys,
  mapValues,
  mapZipWith,
  namedStruct,
  reduce,
  sentences,
  sequence,
  size,
  slice,
  sortArray,
  split,
  strToMap,
  struct,
  transform,
  transformKeys,
  transformValues,
  tryElementAt,
  zipWith,
} from './api/functions-collections.js'
export {
  acosh,
  asinh,
  assertTrue,
  atanh,
  bitCount,
  bitGet,
  bitwiseNot,
  convertTimezone,
  cot,
  csc,
  dayname,
  e,
  factorial,
  fromUnixtime,
  fromUtcTimestamp,
  makeTimestamp,
  monthname,
  nextDay,
  nullifzero,
  pi,
  raiseError,
  rint,
  sec,
  shiftLeft,
  shiftRight,
  shiftRightUnsigned,
  timestampAdd,
  timestampDiff,
  timestampMicros,
  toUtcTimestamp,
  tryAdd,
  tryDivide,
  tryMod,
  tryMultiply,
  trySubtract,
  tryToDate,
  tryToTimestamp,
  typeOf,
  unixMicros,
  unixTimestamp,
  widthBucket,
  zeroifnull,
} from './api/functions-numbers.js'
export {
  bin,
  bitLength,
  conv,
  crc32,
  decode,
  elt,
  encode,
  findInSet,
  formatNumber,
  formatString,
  fromCsv,
  fromJson,
  getJsonObject,
  ilike,
  jsonArrayLength,
  jsonObjectKeys,
  luhnCheck,
  mask,
  md5,
  overlay,
  parseUrl,
  printf,
  regexpExtractAll,
  regexpInstr,
  regexpSubstr,
  schemaOfJson,
  sha1,
  sha2,
  soundex,
  space,
  toCsv,
  toJson,
  toNumber,
  tryParseUrl,
  tryToNumber,
  tryUrlDecode,
  unbase64,
  unhex,
  urlDecode,
  urlEncode,
  xxhash64,
} from './api/functions-texts.js'
export type { JoinHow } from './api/join-arguments.js'
// The engine
export { type EngineDescription, Millrace } from './api/millrace.js'
export type { MillraceOptions } from './api/open-options.js'
export type { DataFrameReader } from './api/reader.js'
export type { ForeachFunction, ForeachWriter } from './api/sink/foreach-sink.js'
// State of your own
export type { ProcessorOf, TransformOptions } from './api/stateful-arguments.js'
export type { ExplainMode, StreamingQuery } from './api/streaming-query.js'
export type { Trigger } from './api/trigger.js'
export type { UserCodeOptions, UserFunctionOf } from './api/user-code-arguments.js'
export type { DataStreamWriter } from './api/writer.js'
export type { Assignment, AssignorInput, PartitionAssignor, TopicPartition } from './client/assignor.js'
export type { Compression } from './client/compression-types.js'
export type { Consumer, IteratedMessage, TopicPartitionOffset } from './client/consumer.js'
export type { ConsumerOptions } from './client/consumer-options.js'
export type {
  GroupDescription,
  GroupListing,
  GroupPartition,
  InFlightRecords,
  OffsetChange,
  ShareGroupChange,
} from './client/group-facts.js'
export type { Groups } from './client/groups.js'
export { type AssignorName, CompressionTypes, PartitionAssigners } from './client/kafkajs-names.js'
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
export type { SharedMessage } from './client/share/delivery.js'
export type { ShareConsumer } from './client/share/share-consumer.js'
export type {
  AcknowledgeType,
  EachSharedBatchPayload,
  EachSharedMessagePayload,
  ShareConsumerOptions,
  ShareRunOptions,
} from './client/share/share-consumer-options.js'
export type { ShareGroupConfig } from './client/share/share-group-settings.js'
export type { ConsumerSubscription } from './client/subscription.js'
export type { SendOffsets, Transaction } from './client/transaction.js'
export type { ConsumerGroupMetadata } from './client/transactional-offsets.js'
export { type ErrorShape, MillraceError } from './common/errors.js'
export type { Logger } from './common/logger.js'
export type { StreamingQueryProgress, StreamingQueryStatus } from './execution/progress.js'
export type { TopicAlteration, TopicDescription, TopicFacts, TopicOptions } from './execution/session-topics.js'
// Topics, producers, consumers
export type { RecordExplanation } from './log/explain-record.js'
export type { CompactedPartition } from './log/log-cleaner.js'
export type { VerifyReport } from './log/log-verify.js'
export type { DamagedOffsets, TornTail } from './log/partition-verify.js'
export type { TransactionDescription, TransactionState } from './log/transactions.js'
export type { OutputMode } from './plan/physical-plan.js'
export type { DataType, Field, StructType } from './types/data-type.js'
export type { Row } from './types/row-reader.js'
// Types and rows
export { SchemaType, StructSchema, t } from './types/schema.js'
export type {
  ListState,
  MapState,
  StatefulProcessorHandle,
  StateType,
  Timers,
  ValueState,
} from './worker/state-handle.js'
export type { ExpiredTimerInfo, ProcessorTools, StatefulProcessor } from './worker/stateful-processor.js'
