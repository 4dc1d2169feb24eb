/**
 * The data of the benchmarks: clicks of seven fields, from a seed, and batches of producer records made of them
 * beforehand, so that making objects is not what is measured.
 */
export interface Click {
  readonly userId: string
  readonly page: string
  readonly ts: number
  readonly price: number
  readonly quantity: number
  readonly country: string
  readonly mobile: boolean
}

export interface ClickMessage {
  readonly key: string
  readonly value: Click
}

export const FIRST_TS = Date.UTC(2026, 0, 1)

/** Uniform in [0, 1), the same on every machine for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let z = state
    z = Math.imul(z ^ (z >>> 15), z | 1)
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61)
    return ((z ^ (z >>> 14)) >>> 0) / 4294967296
  }
}

/** A string of one piece: V8 keeps a concatenation as a tree until somebody reads it. */
const flat = (text: string): string => Buffer.from(text, 'latin1').toString('latin1')

const countries = ['DE', 'FR', 'US', 'BR', 'IN', 'JP', 'KE', 'AU']

export interface ClickOptions {
  readonly batches: number
  readonly batchSize: number
  /** Distinct user ids, all equally likely. */
  readonly users: number
  readonly seed?: number
}

/** Event times go up by one millisecond a record. */
export function clickBatches(options: ClickOptions): ClickMessage[][] {
  const random = seeded(options.seed ?? 42)
  const users = Array.from({ length: options.users }, (_, i) => flat(`user-${i}`))
  const pages = Array.from({ length: 1000 }, (_, i) => flat(`/products/${i}/view`))
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
  let n = 0
  return Array.from({ length: options.batches }, () =>
    Array.from({ length: options.batchSize }, () => {
      const userId = pick(users)
      const value: Click = {
        userId,
        page: pick(pages),
        ts: FIRST_TS + n++,
        price: Math.round(random() * 10_000) / 100,
        quantity: 1 + Math.floor(random() * 5),
        country: pick(countries),
        mobile: random() < 0.5,
      }
      return { key: userId, value }
    }),
  )
}
