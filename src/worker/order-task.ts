import { compileToBuilder } from '../codegen/stage-compiler.js'
import { type RowsFunction, SOURCE_CELLS } from '../codegen/stage-functions.js'
import { comparator } from '../codegen/value.js'
import { type ChannelReader, FrameType } from '../exchange/channel.js'
import type { Limit, Sort, Stage } from '../plan/physical-plan.js'
import { type BufferViews, blockByteLength, blockRowCount, viewsOf } from '../types/block.js'
import { BlockBuilder } from '../types/block-builder.js'
import { valueReader } from '../types/block-reader.js'
import { BlockScratch } from '../types/block-scratch.js'
import { columnSlots, structType } from '../types/data-type.js'
import { BarrierInputs, type WatermarkedInput } from './barrier-inputs.js'
import type { OutputPort } from './output-port.js'
import { StagePipeline } from './stage-pipeline.js'
import { type Counters, newCounters, type Task } from './task.js'

const STEP_FRAMES = 16

interface Kept {
  readonly views: BufferViews
  readonly position: number
  readonly row: number
  readonly keys: readonly unknown[]
}

/**
 * Sort and limit: one task holds the rows of a bounded input until it has ended. With a limit it holds on
 * to little more than that many rows at a time.
 */
export class OrderTask implements Task {
  readonly counters: Counters = newCounters()
  readonly #inputs: BarrierInputs
  readonly #pipeline: StagePipeline
  readonly #head: Sort | Limit
  readonly #copy: RowsFunction<BlockBuilder>
  readonly #keys: KeyReader | undefined
  readonly #cells = new Float64Array(SOURCE_CELLS)
  #kept: Kept[] = []

  constructor(
    stage: Stage,
    ansi: boolean,
    inputs: readonly WatermarkedInput[],
    outputs: readonly OutputPort[],
    private readonly onBarrier: (epoch: number) => void,
  ) {
    this.#head = stage.head as Sort | Limit
    // It waits for the end of its input; what time it is there is no matter.
    this.#inputs = new BarrierInputs(inputs, 'min')
    this.#pipeline = new StagePipeline(stage, this.#head.schema, ansi, outputs)
    this.#copy = compileToBuilder({ schema: this.#head.schema, operators: [], ansi }, this.#head.schema).run
    this.#keys = this.#head.op === 'sort' ? new KeyReader(this.#head, ansi) : undefined
  }

  step(): boolean {
    if (!this.#pipeline.drain()) return false
    let frames = 0
    const readers = this.#inputs.inputs
    for (let i = 0; i < readers.length; i++) {
      while (frames < STEP_FRAMES && this.#inputs.next(i)) {
        frames += 1
        const reader = readers[i] as ChannelReader
        if (reader.type === FrameType.data) this.#take(reader)
        this.#inputs.consume(i)
      }
    }
    if (frames === 0) return false
    if (this.#inputs.barrierComplete()) this.#endEpoch()
    this.#pipeline.drain()
    return true
  }

  close(): void {
    this.#kept = []
  }

  #take(reader: ChannelReader): void {
    const rows = blockRowCount(reader.views, reader.position)
    this.counters.rowsIn += rows
    const limit = this.#limit()
    if (this.#head.op === 'limit' && this.#kept.length >= limit) return
    // The frame goes back to the channel, so what is kept is a copy of the block.
    const bytes = blockByteLength(reader.views, reader.position)
    const views = viewsOf(new ArrayBuffer(bytes))
    views.u8.set(reader.views.u8.subarray(reader.position, reader.position + bytes))
    const keys = this.#keys?.read(views, rows)
    for (let row = 0; row < rows; row++) this.#kept.push({ views, position: 0, row, keys: keys?.[row] ?? [] })
    if (this.#kept.length > 2 * limit + 4096) this.#cut(limit)
  }

  #cut(limit: number): void {
    const keys = this.#keys
    if (keys !== undefined) this.#kept.sort((a, b) => keys.compare(a.keys, b.keys))
    if (this.#kept.length > limit) this.#kept.length = limit
  }

  #limit(): number {
    return (this.#head.op === 'limit' ? this.#head.count : this.#head.limit) ?? Number.POSITIVE_INFINITY
  }

  #endEpoch(): void {
    const { epoch, final } = this.#inputs
    this.#cut(this.#limit())
    this.#pipeline.emit((builder) => {
      builder.ensureRows(builder.rows + this.#kept.length)
      for (const { views, position, row } of this.#kept) {
        this.#copy(views, position, row, row + 1, this.#cells, builder)
      }
    })
    this.#kept = []
    this.#pipeline.setBarrier(epoch, final, false)
    this.counters.rowsOut = this.#pipeline.rowsOut
    this.#inputs.nextEpoch()
    this.onBarrier(epoch)
  }
}

/** The sort keys of the rows of a block, and their order. */
class KeyReader {
  readonly #rows: RowsFunction<BlockBuilder>
  readonly #builder: BlockBuilder
  readonly #block = new BlockScratch()
  readonly #readers: readonly ((views: BufferViews, position: number, row: number) => unknown)[]
  readonly #compare: readonly ((a: unknown, b: unknown) => number)[]

  constructor(sort: Sort, ansi: boolean) {
    const schema = structType(sort.keys.map((key, i) => ({ name: `s${i}`, type: key.value.type, nullable: true })))
    const columns = sort.keys.map((key) => key.value)
    this.#rows = compileToBuilder(
      { schema: sort.schema, operators: [{ op: 'project', columns, schema }], ansi },
      schema,
    ).run
    this.#builder = new BlockBuilder(schema)
    const slots = columnSlots(schema)
    this.#readers = slots.filter((s) => s.parent === -1).map((s) => valueReader(slots, s.index))
    this.#compare = sort.keys.map((key) => {
      const compare = comparator(key.value.type) as (a: unknown, b: unknown) => number
      const nulls = key.nullsFirst ? -1 : 1
      const direction = key.descending ? -1 : 1
      return (a, b) => {
        if (a === null || b === null) return a === b ? 0 : a === null ? nulls : -nulls
        return direction * compare(a, b)
      }
    })
  }

  read(views: BufferViews, rows: number): unknown[][] {
    this.#builder.reset()
    this.#builder.ensureRows(rows)
    this.#rows(views, 0, 0, rows, new Float64Array(SOURCE_CELLS), this.#builder)
    const block = this.#block.encode(this.#builder)
    const keys: unknown[][] = []
    for (let row = 0; row < rows; row++) keys.push(this.#readers.map((read) => read(block.views, block.position, row)))
    return keys
  }

  compare(a: readonly unknown[], b: readonly unknown[]): number {
    for (let i = 0; i < this.#compare.length; i++) {
      const order = (this.#compare[i] as (x: unknown, y: unknown) => number)(a[i], b[i])
      if (order !== 0) return order
    }
    return 0
  }
}
