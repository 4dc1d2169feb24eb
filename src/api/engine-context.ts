import type { EngineSession } from '../execution/session.js'
import type { TopicFacts } from '../execution/session-topics.js'
import type { NamedTables } from './memory-tables.js'
import type { QueryRegistry } from './query-registry.js'

/** What DataFrames, readers and writers know of the engine that they belong to. */
export interface EngineContext {
  /** Throws where the engine is closed. */
  readonly session: EngineSession
  readonly ansi: boolean
  readonly dir: string | undefined
  /** See {@link MillraceOptions.localRowsMax}. */
  readonly localRowsMax: number
  readonly queries: QueryRegistry
  readonly tables: NamedTables
  /** Throws for a topic that does not exist, with the names of those that do. */
  topic(name: string): TopicFacts
  /** Where `show()`, `explain()` and the console sink print. */
  print(text: string): void
}
