import { HeaderList, type HeaderPair } from '../record/headers.js'

/**
 * The headers that say where a dead letter comes from: Kafka's names of KIP-1191 where it has one, and others under the same prefix. Values are text.
 *
 *   // __dlq.errors.topic .partition .offset   of the record that failed
 *   //              .group .delivery.count     of a share group
 *   //              .timestamp                 of that record, epoch milliseconds; so are first.failure and last.failure
 *   //              .query .step .operator     where it failed in a query
 *   //              .code .message             by what
 *   //              .attempt                   the last one, from 1 on
 *   //              .first.failure .last.failure
 */
export const LETTER_HEADER_PREFIX = '__dlq.errors.'

export interface LetterFacts {
  readonly topic?: string | undefined
  readonly partition?: number | undefined
  readonly offset?: number | undefined
  readonly group?: string | undefined
  readonly 'delivery.count'?: number | undefined
  readonly timestamp?: number | undefined
  readonly query?: string | undefined
  readonly step?: string | undefined
  readonly operator?: string | undefined
  readonly code?: string | undefined
  readonly message?: string | undefined
  readonly attempt?: number | undefined
  readonly 'first.failure'?: number | undefined
  readonly 'last.failure'?: number | undefined
}

/** The headers of a record with those of its letter behind them: those of the facts that are known, which have the last word. */
export function withLetterHeaders(own: readonly HeaderPair[], facts: LetterFacts): HeaderList {
  const said: HeaderPair[] = []
  for (const [name, value] of Object.entries(facts)) {
    if (value !== undefined) said.push([`${LETTER_HEADER_PREFIX}${name}`, String(value)])
  }
  const names = new Set(said.map(([name]) => name))
  return new HeaderList([...own.filter(([name]) => !names.has(name)), ...said])
}
