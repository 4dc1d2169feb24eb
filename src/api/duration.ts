import { MillraceError } from '../common/errors.js'

/** `'10 seconds'`, `'1 minute 30 seconds'`, `'250 ms'`, or a number of milliseconds. */
export function parseDuration(value: string | number, what: string): number {
  const ms = typeof value === 'number' ? value : textMs(value)
  if (ms === undefined || !Number.isFinite(ms) || ms < 0) {
    throw new MillraceError('INVALID_DURATION', `${what} is not a duration`, {
      detail: `found ${typeof value === 'string' ? `'${value}'` : String(value)}`,
      hint: "write '10 seconds', '1 minute 30 seconds', '250 ms' or a number of milliseconds",
    })
  }
  return ms
}

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  millisecond: 1,
  s: 1000,
  second: 1000,
  m: 60_000,
  min: 60_000,
  minute: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
  week: 604_800_000,
}

function textMs(text: unknown): number | undefined {
  if (typeof text !== 'string' || !/^\s*(interval\s+)?(\d+(\.\d+)?\s*[a-z]+\s*)+$/i.test(text)) return undefined
  let sum = 0
  for (const [, amount = '', unit = ''] of text.replace(/^\s*interval/i, '').matchAll(/(\d+(?:\.\d+)?)\s*([a-z]+)/gi)) {
    const name = unit.toLowerCase()
    const ms = unitMs[name] ?? (name.length > 3 ? unitMs[name.replace(/s$/, '')] : undefined)
    if (ms === undefined) return undefined
    sum += Number(amount) * ms
  }
  return sum
}
