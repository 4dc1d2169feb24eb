import { MillraceError } from '../common/errors.js'
import { ProducerSession } from '../log/producer-session.js'
import type { EndTransaction, InitProducer, ProducerGrant } from '../log/transactions.js'

/** The engine's transaction coordinator, as the host asks it. */
export interface CoordinatorClient {
  init(request: InitProducer): Promise<ProducerGrant>
  /** Arrives before anything that is asked afterwards. */
  begin(producerId: number, producerEpoch: number): void
  end(request: EndTransaction): Promise<ProducerGrant>
}

/**
 * Who a producer is to the log. An idempotent one has a producer id for as long as it lives; one with a transactional id gets that id's
 * producer id, with an epoch that fences whoever had it before, and another epoch for every transaction.
 */
export class ProducerIdentity {
  #grant: Promise<ProducerGrant> | undefined
  #session: Promise<ProducerSession> | undefined
  /** Another producer has the transactional id now: this one never asks for it again, or the two would take it from each other for ever. */
  #fenced: MillraceError | undefined

  constructor(
    private readonly coordinator: CoordinatorClient,
    readonly transactionalId: string | undefined,
    private readonly timeoutMs: number,
  ) {}

  /** For sends without a transaction: the same one for ever. */
  session(): Promise<ProducerSession> {
    this.#session ??= this.#granted().then(({ producerId, producerEpoch }) => {
      return new ProducerSession(producerId, producerEpoch, false)
    })
    // The next send asks again.
    this.#session.catch(() => {
      this.#session = undefined
    })
    return this.#session
  }

  /** Asks for the id; with a transactional id this fences whoever had it before. */
  async init(): Promise<void> {
    await this.#granted()
  }

  async begin(): Promise<ProducerSession> {
    if (this.#fenced !== undefined) throw this.#fenced
    const { producerId, producerEpoch, fence } = await this.#granted()
    this.coordinator.begin(producerId, producerEpoch)
    return new ProducerSession(producerId, producerEpoch, true, fence)
  }

  /** The next transaction begins with what the coordinator answers. Where the commit is refused the transaction is still to be aborted. */
  async end(session: ProducerSession, commit: boolean): Promise<void> {
    const { producerId, producerEpoch, touched } = session
    const ends = [...touched.values()].map(({ partition, end }) => ({
      topic: partition.topic,
      topicId: partition.topicId,
      partition: partition.partition,
      end,
    }))
    try {
      const grant = await this.coordinator.end({ producerId, producerEpoch, commit, ends })
      this.#grant = Promise.resolve(grant)
    } catch (error) {
      if (error instanceof MillraceError && error.code === 'PRODUCER_FENCED') this.#fenced = error
      // The id has expired: it is asked for anew.
      if (error instanceof MillraceError && error.code === 'UNKNOWN_PRODUCER_ID') this.#grant = undefined
      throw error
    }
  }

  #granted(): Promise<ProducerGrant> {
    const asked =
      this.#grant ?? this.coordinator.init({ transactionalId: this.transactionalId, timeoutMs: this.timeoutMs })
    this.#grant = asked
    asked.catch(() => {
      if (this.#grant === asked) this.#grant = undefined
    })
    return asked
  }
}

/** A send on a producer with a transactional id, outside of a transaction. */
export function notInTransaction(transactionalId: string | undefined): MillraceError {
  return new MillraceError(
    'NOT_IN_TRANSACTION',
    'the producer has a transactionalId, and sends in transactions alone',
    {
      detail: `transactionalId ${JSON.stringify(transactionalId)}; found a send outside of a transaction`,
      hint: 'const tx = await producer.transaction(); await tx.send(…); await tx.commit()',
    },
  )
}
