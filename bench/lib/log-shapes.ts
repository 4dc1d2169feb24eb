import { Millrace, type MillraceOptions } from 'millrace'

/**
 * The shapes of the OpenMessaging Benchmark for an untyped topic: values of 100 B or 1 KiB out of a pool of 1000, half
 * random and half the same (a payload that compresses to half is what its authors found usual), keys of 10 bytes.
 */
export interface LogMessage {
  readonly key: Buffer
  readonly value: Buffer
}

export const LOG_TOPIC = 'events'
const POOL = 1000

export function logMessages(count: number, valueBytes: number): LogMessage[] {
  let state = 0x9e3779b9
  const random = (): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
  const pool = Array.from({ length: POOL }, () => {
    const value = Buffer.alloc(valueBytes, 0x61)
    for (let i = 0; i < valueBytes / 2; i++) value[i] = random() & 0xff
    return value
  })
  return Array.from({ length: count }, (_, i) => ({
    key: Buffer.from(`user-${String(random() % 100_000).padStart(5, '0')}`, 'latin1'),
    value: pool[i % POOL] as Buffer,
  }))
}

/** An engine with one worker and the topic of the shapes. */
export async function openLog(partitions: number, options: MillraceOptions): Promise<Millrace> {
  const mill = await Millrace.open({ workers: 1, ...options })
  await mill.topics.create(LOG_TOPIC, { partitions })
  return mill
}

/** Bytes of a record in the log: its own, and what Kafka's format puts around it. */
export const recordBytes = (message: LogMessage): number => message.key.length + message.value.length + 8
