/** What an open engine needs to make DataFrames; a module of its own, so that it is loaded when an engine is opened and not before. */
export { blocksFromRows } from '../types/column-builder.js'
export { DataFrame } from './dataframe.js'
export { prepareGeneratedCode } from './generated-code.js'
export { NamedTables, nextTableId } from './memory-tables.js'
export { QueryRegistry } from './query-registry.js'
export { DataFrameReader, structOf } from './reader.js'
