import type { AggregateName, FoldName } from './expression.js'

/**
 * The names of functions by the family that they belong to: all that parsing a text, or building a column, needs to know of them. What they take and give is in
 * functions.ts and what they compute in codegen/kernels.ts, family by family, since a query uses few of them. A test holds the three equal.
 */
const names = (text: string): readonly string[] => text.split(' ')

const families = {
  operators: names(
    'add sub mul div intDiv mod pmod neg abs eq neq lt gt eqNullSafe lte gte and or not isNull isNotNull isNaN ' +
      'coalesce greatest least in tryAdd trySubtract tryMultiply tryDivide tryMod zeroifnull nullifzero typeof ' +
      'raiseError assertTrue ifnull nvl2 nullif nanvl if between',
  ),
  numbers: names(
    'floor ceil floorTo ceilTo round bround sqrt cbrt exp expm1 sign sin cos tan asin acos atan sinh cosh tanh ' +
      'asinh acosh atanh sec csc cot rint degrees radians ln log10 log2 log1p pow atan2 hypot log hash',
  ),
  strings: names(
    'startsWith endsWith contains like rlike concat concatWs length octetLength upper lower initcap reverse ' +
      'trim ltrim rtrim substring left right repeat instr locate replace translate substringIndex splitPart lpad ' +
      'rpad ascii chr hex base64 levenshtein regexpExtract regexpReplace regexpCount',
  ),
  times: names(
    'year quarter month dayofmonth dayofweek weekday dayofyear weekofyear hour minute second dateTrunc trunc ' +
      'dateAdd dateSub datediff addMonths lastDay monthsBetween makeDate unixDate dateFromUnixDate unixSeconds ' +
      'unixMillis timestampMillis timestampSeconds windowStart durationMillis windowTime dateFormat',
  ),
  collections: names(
    'array map namedStruct makeStruct mapKeys mapValues mapEntries mapContainsKey mapConcat mapFromArrays ' +
      'mapFromEntries strToMap getItem elementAt tryElementAt get mapValue fieldOfEach size arraySize ' +
      'arrayContains arrayPosition arrayRemove arrayAppend arrayPrepend arrayInsert arrayDistinct arrayCompact ' +
      'arrayMax arrayMin reverseArray flatten arrayUnion arrayIntersect arrayExcept arraysOverlap concatArrays ' +
      'arrayJoin sortArray arrayRepeat slice sequence sequenceOfTimes arraysZip split sentences',
  ),
  lambdas: names(
    'filter exists forall transform aggregate zipWith arraySort mapFilter transformKeys transformValues ' +
      'mapZipWith',
  ),
  bits: names(
    'bitAnd bitOr bitXor bitNot bitCount bitGet shiftLeft shiftRight shiftRightUnsigned factorial bin conv ' +
      'unhex widthBucket md5 sha1 sha2 crc32 xxhash64',
  ),
  texts: names(
    'encode decode unbase64 tryUnbase64 urlEncode urlDecode tryUrlDecode parseUrl tryParseUrl mask soundex elt ' +
      'findInSet overlay luhnCheck space bitLength toNumber tryToNumber formatString formatNumber ilike ' +
      'regexpInstr regexpSubstr regexpExtractAll',
  ),
  steps: names(
    'toDate tryToDate toTimestamp tryToTimestamp parseTimestamp tryParseTimestamp unixTimestamp fromUnixtime ' +
      'timestampDiff timestampAdd nextDay dayname monthname yearofweek dayofweekIso secondFraction unixMicros ' +
      'timestampMicros toUtcTimestamp fromUtcTimestamp convertTimezone makeTimestamp tryMakeTimestamp ' +
      'makeYmInterval makeDtInterval addInterval addMonthsToDate addMonthsToTime timeBetween intervalSum ' +
      'intervalProduct',
  ),
  json: names('getJsonObject jsonArrayLength jsonObjectKeys schemaOfJson fromJson fromCsv toJson toCsv'),
} as const

export type FunctionFamily = keyof typeof families

export const functionFamilies = Object.keys(families) as readonly FunctionFamily[]

const familyByName: ReadonlyMap<string, FunctionFamily> = new Map(
  functionFamilies.flatMap((family) => families[family].map((name) => [name, family])),
)

export const functionNames = (): readonly string[] => [...familyByName.keys()]

/** Undefined where there is no function of that name. */
export const functionFamily = (name: string): FunctionFamily | undefined => familyByName.get(name)

export const namesOfFamily = (family: FunctionFamily): readonly string[] => families[family]

/** Whether a user can call them. */
const folds: Readonly<Record<FoldName, boolean>> = {
  topRows: false,
  collectList: true,
  collectSet: true,
  countDistinct: true,
  sumDistinct: true,
  avgDistinct: true,
  approxCountDistinct: true,
  stddevSamp: true,
  stddevPop: true,
  varSamp: true,
  varPop: true,
  skewness: true,
  kurtosis: true,
  corr: true,
  covarSamp: true,
  covarPop: true,
  first: true,
  last: true,
  minBy: true,
  maxBy: true,
  minValue: true,
  maxValue: true,
  percentile: true,
  percentileApprox: true,
  median: true,
  mode: true,
  bitAndOf: true,
  bitOrOf: true,
  bitXorOf: true,
}

/** Aggregates whose state is a value: aggregate-specs.ts. */
export const foldNames = (Object.keys(folds) as FoldName[]).filter((name) => folds[name])
export const isFold = (name: string): name is FoldName => Object.hasOwn(folds, name)

export const aggregateNames: readonly AggregateName[] = ['count', 'sum', 'avg', 'min', 'max', ...foldNames]
