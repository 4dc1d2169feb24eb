import { expect, test } from 'vitest'
import { EpochTransactions } from '../../src/execution/epoch-transactions.js'
import { LogSink } from '../../src/execution/log-sink.js'
import { checkpointOwner, outcomeIn, QueryCheckpoint } from '../../src/execution/query-checkpoint.js'
import { OwnedTransactions } from '../../src/log/owned-transactions.js'
import type { BufferViews } from '../../src/types/block.js'
import { BlockBuilder } from '../../src/types/block-builder.js'
import { BlockScratch } from '../../src/types/block-scratch.js'
import { scalar, structType } from '../../src/types/data-type.js'
import { chosen, ImagedFileSystem } from '../log/imaged-file-system.js'
import { type OpenLog, openLog, until } from '../log/log-fixture.js'
import { envOf, type MemoryFileSystem } from '../log/memory-file-system.js'
import { seen } from '../log/transaction-fixture.js'

const schema = structType([
  { name: 'key', type: scalar('string'), nullable: true },
  { name: 'value', type: scalar('string'), nullable: true },
])
const CHECKPOINT = '/d/checkpoints/q'

/** A query that gives every epoch a few rows, and does with its sink and its checkpoint what a run does with them. */
class Query {
  readonly checkpoint: QueryCheckpoint
  readonly sink: LogSink
  readonly transactions: EpochTransactions
  failure: unknown

  constructor(
    readonly log: OpenLog,
    fs: MemoryFileSystem,
    checkpoint: string | undefined = CHECKPOINT,
  ) {
    const env = envOf(fs)
    this.checkpoint = QueryCheckpoint.open(env, checkpoint)
    const { transactions } = log.engine
    if (checkpoint !== undefined) this.checkpoint.resolveInDoubt(transactions, checkpoint)
    const fail = (error: unknown): void => {
      this.failure = error
    }
    const owner = checkpoint === undefined ? undefined : checkpointOwner(checkpoint)
    this.transactions = new EpochTransactions(new OwnedTransactions(transactions, owner), fail, () => undefined)
    this.sink = new LogSink(log.engine.describe('out'), schema, log.memory, env, this.transactions, fail)
  }

  get nextEpoch(): number {
    const { committed } = this.checkpoint.recovered
    return committed === undefined ? 0 : committed.epoch + 1
  }

  async write(epoch: number): Promise<void> {
    const block = rows(epoch)
    await until(() => this.sink.write(epoch, block.views, block.position), 'the sink takes the rows')
  }

  async runEpoch(epoch: number, isWritten = false): Promise<void> {
    if (!isWritten && !isEmpty(epoch)) await this.write(epoch)
    const settled = this.transactions.prepare(epoch)
    let isPrepared = false
    settled.then(
      () => {
        isPrepared = true
      },
      () => {
        isPrepared = true
      },
    )
    await until(() => {
      this.sink.rung()
      return isPrepared
    }, 'the rows are durable')
    const transaction = await settled
    const end = { positions: [], closedUntil: new Map<number, number>(), transaction }
    if (this.checkpoint.isDurable) {
      this.checkpoint.intent(epoch, [], false)
      await this.transactions.decide(epoch)
      this.checkpoint.commit(epoch, end)
      await this.checkpoint.sync()
    } else await this.transactions.decide(epoch)
    await this.transactions.commit(epoch)
    this.checkpoint.delivered(epoch)
  }

  async close(): Promise<void> {
    await this.transactions.close()
    this.checkpoint.close()
  }
}

/** Some epochs have no rows. */
const isEmpty = (epoch: number): boolean => epoch % 4 === 3
const valuesOf = (epoch: number): string[] => (isEmpty(epoch) ? [] : ['x', 'y', 'z'].map((row) => `${epoch}${row}`))

function rows(epoch: number): { readonly views: BufferViews; readonly position: number } {
  const builder = new BlockBuilder(schema)
  for (const value of valuesOf(epoch)) builder.append([value, value])
  return new BlockScratch().encode(builder)
}

const open = (fs: MemoryFileSystem): Promise<OpenLog> =>
  openLog({
    dir: '/d',
    env: envOf(fs),
    askOwner: (owner, transaction) => outcomeIn(envOf(fs), owner, transaction),
  })

const committed = (log: OpenLog): string[] =>
  [0, 1].flatMap((partition) => seen(log, 'out', partition, 'read_committed')).sort()

const upTo = (epochs: number): string[] =>
  Array.from({ length: epochs }, (_, epoch) => valuesOf(epoch))
    .flat()
    .sort()

test('killed at any step, a topic holds the epochs that its checkpoint has committed, each once', async () => {
  const fs = new ImagedFileSystem()
  const log = await open(fs)
  log.engine.createTopic({ name: 'out', partitions: 2 })
  const query = new Query(log, fs)
  fs.images.length = 0
  for (let epoch = 0; epoch < 6; epoch++) {
    await query.runEpoch(epoch)
    fs.done = epoch + 1
  }
  await query.close()
  await log.close()
  expect(fs.images.length).toBeGreaterThan(60)
  const atCommits = new Set<number>()
  for (const image of chosen(fs.images)) {
    const again = await open(image.fs)
    const restarted = new Query(again, image.fs)
    const { nextEpoch } = restarted
    atCommits.add(nextEpoch)
    expect(nextEpoch).toBeGreaterThanOrEqual(image.done)
    expect(committed(again)).toEqual(upTo(nextEpoch))
    // The epoch that was under way is run again, and is there once.
    await restarted.runEpoch(nextEpoch)
    expect(committed(again)).toEqual(upTo(nextEpoch + 1))
    await restarted.close()
    await again.close()
  }
  expect([...atCommits]).toEqual([0, 1, 2, 3, 4, 5, 6])
}, 60_000)

test('rows of the next epoch that come early belong to it', async () => {
  const fs = new ImagedFileSystem()
  const log = await open(fs)
  log.engine.createTopic({ name: 'out', partitions: 2 })
  const query = new Query(log, fs)
  await query.write(0)
  await query.write(1)
  await query.runEpoch(0, true)
  expect(seen(log, 'out', 0, 'read_uncommitted').length + seen(log, 'out', 1, 'read_uncommitted').length).toBe(6)
  // Readers stop at the oldest record of what is open.
  expect(upTo(1)).toEqual(expect.arrayContaining(committed(log)))
  await query.runEpoch(1, true)
  expect(committed(log)).toEqual(upTo(2))
  await query.close()
  await log.close()
})

test('without a checkpoint the epochs of a run are whole, and what was under way is aborted', async () => {
  const fs = new ImagedFileSystem()
  const log = await open(fs)
  log.engine.createTopic({ name: 'out', partitions: 2 })
  const query = new Query(log, fs, undefined)
  fs.images.length = 0
  for (let epoch = 0; epoch < 3; epoch++) {
    await query.runEpoch(epoch)
    fs.done = epoch + 1
  }
  await query.write(4)
  await query.close()
  expect(committed(log)).toEqual(upTo(3))
  await log.close()
  for (const image of chosen(fs.images)) {
    const again = await open(image.fs)
    const found = committed(again)
    expect([image.done, image.done + 1].map(upTo)).toContainEqual(found)
    await again.close()
  }
}, 60_000)

test('a checkpoint that fails to sync leaves its transaction in doubt, and the restarted query settles it', async () => {
  const fs = new ImagedFileSystem()
  const log = await open(fs)
  log.engine.createTopic({ name: 'out', partitions: 2 })
  const query = new Query(log, fs)
  await query.runEpoch(0)
  fs.onSync = async (path) => {
    if (path.endsWith('epochs.log')) throw new Error('EIO')
  }
  await expect(query.runEpoch(1)).rejects.toThrow('EIO')
  fs.onSync = async () => undefined
  await query.close()
  expect(committed(log)).toEqual(upTo(1))
  expect(log.engine.transactions.inDoubt).toBeGreaterThan(0)
  // The record is in the file after all.
  const restarted = new Query(log, fs)
  expect(restarted.nextEpoch).toBe(2)
  expect(log.engine.transactions.inDoubt).toBe(0)
  expect(committed(log)).toEqual(upTo(2))
  await restarted.runEpoch(2)
  expect(committed(log)).toEqual(upTo(3))
  await restarted.close()
  await log.close()
})
