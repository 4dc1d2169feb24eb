import { compileKeep, compileProbe } from '../codegen/join-compiler.js'
import { compileToShuffle } from '../codegen/shuffle-compiler.js'
import { SOURCE_CELLS } from '../codegen/stage-functions.js'
import { groupLayout } from '../operator/aggregate.js'
import { fillingJoin } from '../operator/broadcast-join.js'
import { keyGrouping, shuffleSchema } from '../operator/join.js'
import type { BroadcastJoin } from '../plan/physical-plan.js'
import { GroupTable } from '../state/group-table.js'
import type { LookupTable } from '../state/lookup-table.js'
import { RowStore } from '../state/row-store.js'
import { type BlockRef, blockRowCount } from '../types/block.js'
import { BlockBuilder } from '../types/block-builder.js'
import { BlockScratch } from '../types/block-scratch.js'

/** A side of a join that ends, made ready to be looked up in. Rows are hashed this many at a time. */
const CHUNK_ROWS = 16_384

/** The rows of a table's blocks by their keys, as a broadcast join looks them up. */
export function broadcastTable(join: BroadcastJoin, ansi: boolean, blocks: readonly BlockRef[]): LookupTable {
  const { schema, keys } = join.table
  const filling = fillingJoin(join)
  const table = new GroupTable(groupLayout(keyGrouping(filling), false))
  const nobody = new RowStore(filling.right.schema, 0, false, false)
  const hash = compileToShuffle({ schema, operators: [], ansi }, { kind: 'shuffle', schema, keys }).run
  const probe = compileProbe(filling, 'left', ansi).run
  const keep = compileKeep(filling, 'left', false, ansi).run
  const hashed = new BlockBuilder(shuffleSchema(schema))
  const scratch = new BlockScratch()
  const cells = new Float64Array(SOURCE_CELLS)
  const rows = new Int32Array(CHUNK_ROWS)
  const entries = new Int32Array(CHUNK_ROWS)
  const kept = new BlockBuilder(schema)
  const total = blocks.reduce((sum, { views, position }) => sum + blockRowCount(views, position), 0)
  kept.ensureRows(total + 1)
  const next = new Int32Array(total)
  for (const { views, position } of blocks) {
    const count = blockRowCount(views, position)
    for (let from = 0; from < count; from += CHUNK_ROWS) {
      const to = Math.min(count, from + CHUNK_ROWS)
      hashed.reset()
      hashed.ensureRows(to - from)
      hash(views, position, from, to, cells, [hashed])
      const block = scratch.encode(hashed)
      const found = probe(
        block.views,
        block.position,
        0,
        to - from,
        table,
        nobody,
        none,
        () => undefined,
        rows,
        entries,
      )
      const first = kept.rows
      keep(block.views, block.position, rows, 0, found, kept, nobody, 0)
      link(table, next, first, entries, found)
    }
  }
  table.complete()
  return { keys: table, next, rows: kept }
}

/** Nobody is there to be paired with. */
const none = new Int32Array(0)

/** Rows [first, first + count) into the chains of their keys, of which `entries` has the entry · 2. */
function link(table: GroupTable, next: Int32Array, first: number, entries: Int32Array, count: number): void {
  const { cells, places } = table
  const chain = places.numbers[0] as number
  for (let i = 0; i < count; i++) {
    const begin = ((entries[i] as number) >> 1) * places.cellDoubles + chain
    next[first + i] = cells[begin] as number
    cells[begin] = first + i + 1
  }
}
