import { lazyModule } from '../common/lazy-module.js'
import type { Stage } from '../plan/physical-plan.js'
import type { LookupTable } from '../state/lookup-table.js'
import { type BlockRef, type BufferViews, viewsOf } from '../types/block.js'
import type { BlockDescriptor, Deployment } from './protocol.js'

/** Blocks that come with a deployment: state to begin with, and tables that rows are looked up in. */
export type Tables = Map<string, LookupTable>

const broadcasting = lazyModule(import.meta.url, './broadcast-table.js', () => import('./broadcast-table.js'))

export const refsOf = (blocks: readonly BlockDescriptor[]): readonly BlockRef[] =>
  blocks.map((block) => ({ views: viewsOfDescriptor(block), position: block.position }))

/** Adds the tables that the stage looks rows up in. */
export function fillTables(tables: Tables, { plan, tables: blocks }: Deployment, { pipeline }: Stage): void {
  for (const operator of pipeline) {
    if (operator.op !== 'broadcastJoin' || tables.has(operator.table.name)) continue
    const rows = refsOf(blocks[operator.table.name] ?? [])
    tables.set(operator.table.name, broadcasting().broadcastTable(operator, plan.ansi, rows))
  }
}

const viewsByBuffer = new WeakMap<SharedArrayBuffer, BufferViews>()

export function viewsOfDescriptor(block: BlockDescriptor): BufferViews {
  let views = viewsByBuffer.get(block.buffer)
  if (views === undefined) {
    views = viewsOf(block.buffer)
    viewsByBuffer.set(block.buffer, views)
  }
  return views
}
