import { lazyModule } from '../common/lazy-module.js'

/** What an open engine needs to make DataFrames; a module of its own, so that it is loaded when an engine is opened and not before. */
export { blocksFromRows } from '../types/column-builder.js'
export { DataFrame } from './dataframe.js'
export { NamedTables, nextTableId } from './memory-tables.js'
export { QueryRegistry } from './query-registry.js'
export { structOf } from './struct-of.js'

/** Who makes all DataFrames of rows in memory reads nothing. */
export const reading = lazyModule(import.meta.url, './reader.js', () => import('./reader.js'))
