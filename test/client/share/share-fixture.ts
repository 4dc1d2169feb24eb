import type { ShareConsumer } from '../../../src/client/share/share-consumer.js'
import type { EachSharedMessagePayload } from '../../../src/client/share/share-consumer-options.js'
import { type Env, nodeEnv } from '../../../src/common/env.js'
import { VirtualClock } from '../../../src/testing/virtual-clock.js'
import { nextTurn, until } from '../../log/log-fixture.js'
import { type ClientLog, openClientLog } from '../consumer-fixture.js'

/** A log whose locks last as long as the test wants them to. */
export interface ShareLog {
  readonly log: ClientLog
  readonly clock: VirtualClock
}

export async function openShareLog(dir?: string, clock = new VirtualClock()): Promise<ShareLog> {
  const env: Env = {
    ...nodeEnv,
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    timer: (ms, callback) => clock.timer(ms, callback),
  }
  return { log: await openClientLog({ env, dir }), clock }
}

/** A consumer that gathers what it gets, and says nothing about it. */
export interface Gathering {
  readonly consumer: ShareConsumer
  /** `value` or `value#deliveryCount` from the second delivery on. */
  readonly got: string[]
  readonly messages: EachSharedMessagePayload['message'][]
}

export const nameOf = ({ value, deliveryCount }: EachSharedMessagePayload['message']): string =>
  deliveryCount === 1 ? String(value) : `${String(value)}#${deliveryCount}`

export async function gathering(
  log: ClientLog,
  groupId = 'jobs',
  topics: readonly string[] = ['work'],
  options: { readonly maxRecords?: number; readonly acknowledgementMode?: 'implicit' | 'explicit' } = {},
): Promise<Gathering> {
  const consumer = log.shareConsumer({ groupId, acknowledgementMode: 'explicit', ...options })
  await consumer.subscribe({ topics: [...topics], fromBeginning: true })
  const got: string[] = []
  const messages: EachSharedMessagePayload['message'][] = []
  await consumer.run({
    eachMessage: ({ message }) => {
      got.push(nameOf(message))
      messages.push(message)
    },
  })
  return { consumer, got, messages }
}

export const arrived = (one: Gathering, count: number): Promise<void> =>
  until(() => one.got.length >= count, `${count} messages, got ${one.got.join(' ')}`)

/** Everything that is under way, and needs no clock, has happened. */
export async function settled(turns = 10): Promise<void> {
  for (let i = 0; i < turns; i++) await nextTurn()
}
