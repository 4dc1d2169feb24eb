import { MillraceError } from '../common/errors.js'
import type { StreamingQuery } from './streaming-query.js'

/** The queries of one engine: `mill.queries`. */
export class QueryRegistry {
  readonly #active = new Set<StreamingQuery>()
  /** Names and checkpoints of queries that run or are about to. */
  readonly #claims = new Map<string, string>()

  get active(): readonly StreamingQuery[] {
    return [...this.#active]
  }

  /** By name, id or run id; undefined where no active query has it. */
  get(name: string): StreamingQuery | undefined {
    for (const query of this.#active) {
      if (query.name === name || query.id === name || query.runId === name) return query
    }
    return undefined
  }

  /** Resolves when the first of the queries that are active now ends; rejects with its error. */
  async awaitAnyTermination(): Promise<void> {
    if (this.#active.size === 0) return
    await Promise.race([...this.#active].map((query) => query.awaitTermination()))
  }

  /** Two queries may share neither a name nor a checkpoint. The returned function gives both free. */
  claim(name: string | undefined, checkpoint: string | undefined): () => void {
    const keys: string[] = []
    const release = (): void => {
      for (const key of keys) this.#claims.delete(key)
    }
    const take = (key: string, code: string, message: string, hint: string): void => {
      if (this.#claims.has(key)) {
        release()
        throw new MillraceError(code, message, { detail: `active: ${this.#names()}`, hint })
      }
      this.#claims.set(key, name ?? '')
      keys.push(key)
    }
    if (name !== undefined) {
      const hint = 'stop it first, or give this one another queryName'
      take(`name ${name}`, 'QUERY_NAME_IN_USE', `a query named '${name}' is already active`, hint)
    }
    if (checkpoint !== undefined) {
      const message = `the checkpoint ${checkpoint} belongs to an active query`
      take(`checkpoint ${checkpoint}`, 'CHECKPOINT_IN_USE', message, 'give this query a checkpointLocation of its own')
    }
    return release
  }

  add(query: StreamingQuery): void {
    this.#active.add(query)
  }

  remove(query: StreamingQuery): void {
    this.#active.delete(query)
  }

  #names(): string {
    return [...this.#active].map((query) => query.name ?? query.id).join(', ') || 'none yet, one is starting'
  }
}
