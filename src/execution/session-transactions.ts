import { MillraceError } from '../common/errors.js'
import type { TransactionDescription } from '../log/transactions.js'
import { describe } from '../types/invalid-value.js'
import type { Request } from './session-topics.js'

/**
 * `mill.transactions`. Whoever wonders why readers of committed records stand still finds here which transaction they wait for, and can end it
 * without waiting for its timeout.
 */
export class SessionTransactions {
  constructor(private readonly request: Request) {}

  /** All transactional ids that are known, and transactions that queries have open (`transactionalId` null). */
  list(): Promise<readonly TransactionDescription[]> {
    return this.request('listTransactions', undefined)
  }

  /** Throws UNKNOWN_TRANSACTIONAL_ID, with those that exist and the nearest. */
  async describe(transactionalId: string): Promise<TransactionDescription> {
    assertId('describe', transactionalId)
    return await this.request('describeTransaction', transactionalId)
  }

  /**
   * Aborts what the id has open: readers of committed records will never see it. Its producer is refused from then on until it has aborted the
   * transaction itself; then it may begin another.
   */
  async abort(transactionalId: string): Promise<void> {
    assertId('abort', transactionalId)
    await this.request('abortTransaction', transactionalId)
  }
}

function assertId(method: string, given: unknown): asserts given is string {
  if (typeof given === 'string' && given !== '') return
  throw new MillraceError('INVALID_ARGUMENT', `${method} was told no transactionalId`, {
    detail: `found ${describe(given)}, expected a text that a producer was made with`,
    hint: `mill.transactions.${method}('orders-1')`,
  })
}
