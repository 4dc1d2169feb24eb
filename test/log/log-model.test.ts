import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nextTurn, type OpenLog, openLog, RowsAppender, readerOf, readValues, until } from './log-fixture.js'
import { envOf, MemoryFileSystem } from './memory-file-system.js'

type Step =
  | { readonly kind: 'append'; readonly partition: number; readonly records: number; readonly bytes: number }
  | { readonly kind: 'read'; readonly partition: number; readonly from: number }
  | { readonly kind: 'turn' | 'sync' | 'close' | 'crash' | 'power loss' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      partition: fc.nat(1),
      records: fc.integer({ min: 1, max: 20 }),
      bytes: fc.constantFrom(1, 40, 3000, 150_000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      partition: fc.nat(1),
      from: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom('sync' as const, 'close' as const, 'crash' as const, 'power loss' as const),
    }),
  },
)

describe('the log against a model', () => {
  it('holds every record at its offset, through any appends, reads, closes, crashes and losses of power', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 5, maxLength: 60 }),
        fc.constantFrom('never' as const, 'group' as const, 'always' as const),
        async (steps, fsync) => {
          let fs = new MemoryFileSystem()
          const reopen = (): Promise<OpenLog> =>
            openLog({ dir: '/d', env: envOf(fs), fsync, memoryBudget: 8 * 1024 * 1024 })
          let log = await reopen()
          log.engine.createTopic({ name: 't', partitions: 2, config: { 'segment.bytes': 200_000 } })
          const model: string[][] = [[], []]
          const synced = [0, 0]
          let serial = 0
          const appender = (partition: number): RowsAppender =>
            new RowsAppender(log.engine.describe('t'), log.memory, partition)
          const check = (partition: number, from: number): void => {
            const reader = readerOf(log.engine.describe('t'), log.memory, partition, { env: envOf(fs) })
            const expected = model[partition] as string[]
            expect(reader.logEndOffset()).toBe(expected.length)
            expect(readValues(reader, from).map(short)).toEqual(expected.slice(from))
            reader.close()
          }
          for (const now of steps) {
            if (now.kind === 'append') {
              const values = Array.from({ length: now.records }, () => `${serial++} ${'.'.repeat(now.bytes)}`)
              const to = appender(now.partition)
              await until(() => to.append(values) >= 0, 'there is memory')
              model[now.partition]?.push(...values.map(short))
            } else if (now.kind === 'read') {
              check(now.partition, Math.floor(now.from * (model[now.partition] as string[]).length))
            } else if (now.kind === 'turn') {
              // The engine writes, and may begin to sync.
              for (let i = 0; i < 3; i++) await nextTurn()
            } else if (now.kind === 'sync') {
              await log.engine.syncUpTo(
                model.map((records, partition) => ({ topic: 't', partition, offset: records.length })),
              )
              model.forEach((records, partition) => {
                synced[partition] = records.length
              })
            } else if (now.kind === 'close') {
              await log.close()
              log = await reopen()
              model.forEach((records, partition) => {
                synced[partition] = records.length
              })
            } else {
              for (const partition of [0, 1])
                synced[partition] = Math.max(
                  synced[partition] as number,
                  appender(partition).appender.control.syncedOffset(),
                )
              const left = now.kind === 'crash' ? fs : fs.afterPowerLoss()
              log.abandon()
              fs = left
              fs.remove('/d/lock')
              log = await reopen()
              // What was not synced may be gone from the end, and from there alone.
              log.engine.state('t').partitions.forEach((state, partition) => {
                const records = model[partition] as string[]
                expect(state.logEndOffset).toBeGreaterThanOrEqual(synced[partition] as number)
                expect(state.logEndOffset).toBeLessThanOrEqual(records.length)
                expect(state.damaged).toEqual([])
                records.length = state.logEndOffset
              })
            }
          }
          check(0, 0)
          check(1, 0)
          await log.close()
        },
      ),
      { numRuns: 30 },
    )
  })
})

const short = (value: string): string => value.slice(0, 12)
