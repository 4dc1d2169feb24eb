import { type KernelTable, plain } from './kernel.js'
import * as times from './times.js'

/** The kernels of the family of times: what times.ts computes, by the names of functions. */
export const timeKernels: KernelTable = {
  year: plain(times.year),
  quarter: plain(times.quarter),
  month: plain(times.month),
  dayofmonth: plain(times.dayOfMonth),
  dayofweek: plain(times.dayOfWeek),
  weekday: plain(times.weekday),
  dayofyear: plain(times.dayOfYear),
  weekofyear: plain(times.weekOfYear),
  hour: plain(times.hour),
  minute: plain(times.minute),
  second: plain(times.second),
  dateTrunc: (_first, call) => {
    const [unit] = call.args
    const truncate =
      unit?.kind === 'literal' && typeof unit.value === 'string' ? times.truncateTo(unit.value) : undefined
    return truncate === undefined ? times.dateTrunc : (_unit: string, ms: number) => truncate(ms)
  },
  trunc: plain(times.truncDate),
  dateAdd: plain((days: number, n: number) => (days + n) | 0),
  dateSub: plain((days: number, n: number) => (days - n) | 0),
  datediff: plain((a: number, b: number) => (a - b) | 0),
  addMonths: plain(times.addMonths),
  lastDay: plain(times.lastDay),
  monthsBetween: plain(times.monthsBetween),
  makeDate: (_first, _call, ansi) => times.makeDate(ansi),
  unixDate: plain((days: number) => days),
  dateFromUnixDate: plain((days: number) => days),
  unixSeconds: plain((ms: number) => Math.floor(ms / 1000)),
  unixMillis: plain((ms: number) => ms),
  timestampMillis: plain(times.checkedTimestamp),
  timestampSeconds: plain(times.timestampSeconds),
  windowStart: plain(times.windowStart),
  dateFormat: plain(times.dateFormat),
  durationMillis: plain(times.durationMillis),
  windowTime: plain((end: number) => end - 1),
}
