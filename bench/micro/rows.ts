import { viewsOf } from '../../dist/types/block.js'
import { scalar, structType } from '../../dist/types/data-type.js'
import { compileRowReader, interpretedRowReader, type RowReader } from '../../dist/types/row-reader.js'
import { BareIngest } from '../lib/bare-ingest.js'
import { clickBatches } from '../lib/clicks.js'
import type { Kernel } from './run.js'

/** Columns back to objects: the compiled row reader and the interpreted one, over a block of clicks. */
const field = (name: string, kind: Parameters<typeof scalar>[0], nullable = false) => ({
  name,
  type: scalar(kind),
  nullable,
})

export const clickRecord = structType([
  field('__key', 'binary', true),
  field('__keyHash', 'int'),
  field('__timestamp', 'timestamp'),
  field('__headers', 'binary', true),
  field('userId', 'string'),
  field('page', 'string'),
  field('ts', 'timestamp'),
  field('price', 'double'),
  field('quantity', 'int'),
  field('country', 'string'),
  field('mobile', 'boolean'),
])

export function rows(): Kernel[] {
  const [messages = []] = clickBatches({ batches: 1, batchSize: 1000, users: 100 })
  const ingest = new BareIngest(1)
  ingest.send(messages, 1_767_225_600_000)
  const [block] = ingest.blocks
  if (block === undefined) throw new Error('no block')
  const views = viewsOf(block.chunk.u8.buffer)
  const read = (reader: RowReader) => () => {
    for (let i = 0; i < block.rows; i++) reader(views, block.position, i)
  }
  const compiled = compileRowReader(clickRecord)
  const interpreted = interpretedRowReader(clickRecord)
  if (compiled(views, block.position, 7)['page'] !== messages[7]?.value.page) throw new Error('row 7 reads wrongly')
  return [
    { name: 'compiled row reader, 11 columns', items: block.rows, run: read(compiled) },
    { name: 'interpreted row reader', items: block.rows, run: read(interpreted) },
  ]
}
