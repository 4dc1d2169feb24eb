import { Consumer } from '../../src/client/consumer.js'
import type { ConsumerOptions } from '../../src/client/consumer-options.js'
import { GroupCoordinator } from '../../src/client/group-coordinator.js'
import { Groups } from '../../src/client/groups.js'
import { OFFSETS_RETENTION_MS } from '../../src/client/limits.js'
import { Producer } from '../../src/client/producer.js'
import type { ShareConsumer } from '../../src/client/share/share-consumer.js'
import type { ShareConsumerOptions } from '../../src/client/share/share-consumer-options.js'
import { type OpenLog, type OpenLogOptions, openLog } from '../log/log-fixture.js'

/** A log with everything that consumers need, in one thread. */
export interface ClientLog extends OpenLog {
  readonly coordinator: GroupCoordinator
  readonly groups: Groups
  consumer(options?: ConsumerOptions): Consumer
  shareConsumer(options: ShareConsumerOptions): ShareConsumer
  createTopic(name: string, partitions?: number, config?: Record<string, string | number>): void
  /** One record `value` to a partition. */
  send(topic: string, partition: number, ...values: string[]): Promise<void>
  sendKeyed(
    topic: string,
    partition: number,
    keyed: readonly (readonly [key: string | null, value: string])[],
  ): Promise<void>
}

export async function openClientLog(
  options: OpenLogOptions & { readonly offsetsRetentionMs?: number } = {},
): Promise<ClientLog> {
  const log = await openLog(options)
  const coordinator = new GroupCoordinator(log.host, {
    offsetsRetentionMs: options.offsetsRetentionMs ?? OFFSETS_RETENTION_MS,
  })
  const producer = new Producer(log.host)
  return {
    ...log,
    coordinator,
    groups: new Groups(log.host, coordinator),
    consumer: (consumerOptions) => new Consumer(log.host, consumerOptions, coordinator),
    shareConsumer: (shareOptions) => coordinator.shareGroups.consumer(shareOptions),
    createTopic(name, partitions = 1, config = {}) {
      log.host.addTopic(log.engine.createTopic({ name, partitions, config }))
    },
    async send(topic, partition, ...values) {
      await producer.send({ topic, messages: values.map((value) => ({ value, partition })) })
    },
    async sendKeyed(topic, partition, keyed) {
      await producer.send({ topic, messages: keyed.map(([key, value]) => ({ key, value, partition })) })
    },
    async close() {
      await coordinator.close()
      await log.close()
    },
  }
}

/** A promise that is settled from outside. */
export interface Gate {
  readonly opened: Promise<void>
  open(): void
}

export function gate(): Gate {
  let open = (): void => undefined
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

export const textOf = (message: { readonly value: unknown }): string => String(message.value)
