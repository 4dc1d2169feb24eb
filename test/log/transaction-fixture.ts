import { HOST_SLOT } from '../../src/common/doorbell.js'
import { PartitionAppender } from '../../src/log/partition-appender.js'
import type { PartitionDescriptor } from '../../src/log/partition-descriptor.js'
import type { IsolationLevel } from '../../src/log/partition-reader.js'
import { PartitionReader } from '../../src/log/partition-reader.js'
import { ProducerSession } from '../../src/log/producer-session.js'
import type { TransactionEnd } from '../../src/log/transaction-log.js'
import type { ProducerGrant } from '../../src/log/transactions.js'
import { RowsBatchBuilder } from '../../src/record/rows-batch-builder.js'
import { batchValues, type OpenLog } from './log-fixture.js'

/** A transactional producer without a client: appends straight to partitions, and speaks to the coordinator. */
export class RawProducer {
  session!: ProducerSession
  readonly #builder = new RowsBatchBuilder({ partitions: 1, random: () => 0, batchBytesMax: 4 * 1024 * 1024 })

  private constructor(
    private readonly log: OpenLog,
    public grant: ProducerGrant,
  ) {}

  static async open(log: OpenLog, transactionalId: string, timeoutMs = 0): Promise<RawProducer> {
    return new RawProducer(log, await log.engine.transactions.initProducer({ transactionalId, timeoutMs }))
  }

  begin(): void {
    const { producerId, producerEpoch, fence } = this.grant
    this.session = new ProducerSession(producerId, producerEpoch, true, fence)
    this.log.engine.transactions.begin(producerId, producerEpoch)
  }

  /** Base offset. */
  append(topic: string, partition: number, values: readonly string[]): number {
    const builder = this.#builder
    builder.prepare(
      values.map((value) => ({ value })),
      0,
      values.length,
      Date.now(),
    )
    const [batch] = builder.batches
    if (batch === undefined) throw new Error('a batch was expected')
    builder.stamp = this.session.stamp
    const appender = new PartitionAppender(partitionOf(this.log, topic, partition), this.log.memory, HOST_SLOT)
    return appender.tryAppend(batch, builder, this.session)
  }

  async end(commit: boolean): Promise<void> {
    const { producerId, producerEpoch } = this.session
    this.grant = await this.log.engine.transactions.end({
      producerId,
      producerEpoch,
      commit,
      ends: endsOf(this.session),
    })
  }
}

export function endsOf(session: ProducerSession): TransactionEnd[] {
  return [...session.touched.values()].map(({ partition, end }) => ({
    topic: partition.topic,
    topicId: partition.topicId,
    partition: partition.partition,
    end,
  }))
}

export function partitionOf(log: OpenLog, topic: string, partition: number): PartitionDescriptor {
  const descriptor = log.engine.describe(topic).partitions[partition]
  if (descriptor === undefined) throw new Error(`no partition ${partition}`)
  return descriptor
}

/** All values that a new reader of this isolation sees. */
export function seen(log: OpenLog, topic: string, partition: number, isolation: IsolationLevel): string[] {
  const descriptor = partitionOf(log, topic, partition)
  const reader = new PartitionReader({ partition: descriptor, memory: log.memory, env: log.host.env, isolation })
  reader.seek(reader.logStartOffset())
  const values: string[] = []
  while (reader.next()) values.push(...batchValues(reader))
  reader.close()
  return values
}
