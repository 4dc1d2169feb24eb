import { Consumer } from './consumer.js'
import type { ConsumerOptions } from './consumer-options.js'
import { GroupCoordinator } from './group-coordinator.js'
import { Groups } from './groups.js'
import type { HostLog } from './host-log.js'
import { OFFSETS_RETENTION_MS } from './limits.js'
import { Producer, type ProducerOptions } from './producer.js'
import type { ShareConsumer } from './share/share-consumer.js'
import type { ShareConsumerOptions } from './share/share-consumer-options.js'
import { TransactionalOffsets } from './transactional-offsets.js'

/** Producers, consumers and groups of one engine. Forty modules, loaded with the first of them: who only runs queries has no use for any. */
export class LogClients {
  readonly groups: Groups
  readonly #log: HostLog
  readonly #coordinator: GroupCoordinator
  readonly #offsets: TransactionalOffsets

  constructor(
    log: HostLog,
    { offsetsRetentionMs = OFFSETS_RETENTION_MS }: { readonly offsetsRetentionMs?: number | undefined },
  ) {
    this.#log = log
    this.#coordinator = new GroupCoordinator(log, { offsetsRetentionMs })
    this.#offsets = new TransactionalOffsets(this.#coordinator.offsets, this.#coordinator)
    this.groups = new Groups(log, this.#coordinator)
  }

  producer(options?: ProducerOptions): Producer {
    return new Producer(this.#log, options, this.#offsets)
  }

  consumer(options?: ConsumerOptions): Consumer {
    return new Consumer(this.#log, options, this.#coordinator)
  }

  shareConsumer(options: ShareConsumerOptions): ShareConsumer {
    return this.#coordinator.shareGroups.consumer(options)
  }

  /** Consumers stop; see {@link GroupCoordinator.close}. */
  close(): Promise<void> {
    return this.#coordinator.close()
  }
}
