import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Consumer } from '../../src/client/consumer.js'
import { type AssignorName, PartitionAssigners } from '../../src/client/kafkajs-names.js'
import { Producer } from '../../src/client/producer.js'
import { TransactionalOffsets } from '../../src/client/transactional-offsets.js'
import { nextTurn, temporaryDirectory, until } from '../log/log-fixture.js'
import { seen } from '../log/transaction-fixture.js'
import { type ClientLog, openClientLog } from './consumer-fixture.js'

/**
 * Read, work, write: members of a group copy a topic to another, each batch in a transaction with its offsets. Whatever happens to them (they come and go,
 * crash before and after the offsets are sent, are so slow that the group goes on without them), a reader of committed records finds every
 * record there once, and those of a partition in their order.
 *
 * MILLRACE_GROUP_RUNS=5000 for a long search; MILLRACE_SEED=N for the same one again, which a failure prints.
 */
const PARTITIONS = 3
const RUNS = Number(process.env['MILLRACE_GROUP_RUNS'] ?? 5)
const SEED = process.env['MILLRACE_SEED']

type Speed = 'quick' | 'slow' | 'stuck'
type Command =
  | { readonly do: 'send'; readonly partition: number; readonly count: number }
  | { readonly do: 'join'; readonly speed: Speed }
  | { readonly do: 'leave'; readonly member: number }
  | { readonly do: 'crash'; readonly member: number; readonly when: 'sent' | 'offsets' | 'committed' }
  | { readonly do: 'wait' | 'release' }

const member = fc.nat({ max: 3 })
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      partition: fc.nat({ max: PARTITIONS - 1 }),
      count: fc.integer({ min: 1, max: 10 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('join' as const),
      speed: fc.constantFrom<Speed>('quick', 'slow', 'slow', 'stuck'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('leave' as const), member }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('crash' as const),
      member,
      when: fc.constantFrom('sent' as const, 'offsets' as const, 'committed' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('wait' as const, 'release' as const) }) },
)

interface Running {
  readonly consumer: Consumer
  crashes: 'sent' | 'offsets' | 'committed' | undefined
  isReleased: boolean
}

class World {
  readonly sent = new Array<number>(PARTITIONS).fill(0)
  readonly running: Running[] = []
  readonly #all: Running[] = []

  constructor(
    readonly log: ClientLog,
    readonly assignor: AssignorName,
  ) {}

  async run(one: Command): Promise<void> {
    switch (one.do) {
      case 'send': {
        const from = this.sent[one.partition] as number
        this.sent[one.partition] = from + one.count
        const values = Array.from({ length: one.count }, (_, i) => String(from + i))
        await this.log.send('in', one.partition, ...values)
        return
      }
      case 'join':
        await this.#join(one.speed)
        return
      case 'leave': {
        const [gone] = this.running.splice(one.member, 1)
        if (gone === undefined) return
        gone.isReleased = true
        await gone.consumer.disconnect()
        return
      }
      case 'crash': {
        const found = this.running[one.member]
        if (found !== undefined) found.crashes = one.when
        return
      }
      case 'wait':
        for (let i = 0; i < 5; i++) await nextTurn()
        return
      case 'release':
        for (const each of this.#all) each.isReleased = true
    }
  }

  async drain(): Promise<void> {
    for (const each of this.#all) {
      each.isReleased = true
      each.crashes = undefined
    }
    await this.#join('quick')
    const offsets = this.log.coordinator.offsets
    const topic = this.log.engine.describe('in')
    await until(
      () => this.sent.every((end, p) => end === 0 || offsets.get('g', topic, p)?.offset === end),
      `${this.sent} committed`,
    )
  }

  check(): void {
    for (let p = 0; p < PARTITIONS; p++) {
      const expected = Array.from({ length: this.sent[p] as number }, (_, i) => String(i))
      expect(seen(this.log, 'out', p, 'read_committed')).toEqual(expected)
    }
  }

  async #join(speed: Speed): Promise<void> {
    const consumer = this.log.consumer({
      groupId: 'g',
      partitionAssigners: [this.assignor],
      autoCommit: false,
      autoOffsetReset: 'earliest',
      rebalanceTimeout: speed === 'stuck' ? 20 : 60_000,
    })
    const self: Running = { consumer, crashes: undefined, isReleased: false }
    this.#all.push(self)
    consumer.on('crash', () => {
      const at = this.running.indexOf(self)
      if (at !== -1) this.running.splice(at, 1)
    })
    await consumer.subscribe({ topics: ['in'] })
    this.running.push(self)
    const { log } = this
    // One for each partition, as programs of that kind had it before groups could fence: here the group alone does.
    const producers = Array.from({ length: PARTITIONS }, (_, p) => {
      const transactionalId = `${this.#all.length}-${p}`
      return new Producer(
        log.host,
        { transactionalId },
        new TransactionalOffsets(log.coordinator.offsets, log.coordinator),
      )
    })
    await consumer.run({
      partitionsConsumedConcurrently: PARTITIONS,
      eachBatch: async ({ batch, signal }) => {
        const groupMetadata = consumer.groupMetadata()
        const tx = await (producers[batch.partition] as Producer).transaction()
        const crash = (when: Running['crashes']): void => {
          if (self.crashes === when && when !== undefined) throw new Error(`crash when ${when}`)
        }
        try {
          const messages = batch.messages.map(({ value }) => ({ value: value as Buffer, partition: batch.partition }))
          await tx.send({ topic: 'out', messages })
          crash('sent')
          const offset = String(Number(batch.lastOffset()) + 1)
          await tx.sendOffsets({
            groupMetadata,
            topics: [{ topic: 'in', partitions: [{ partition: batch.partition, offset }] }],
          })
          crash('offsets')
          if (speed === 'slow') for (let i = 0; i < 3 && !signal.aborted; i++) await nextTurn()
          while (speed === 'stuck' && !self.isReleased) await nextTurn()
          await tx.commit()
        } catch (error) {
          await tx.abort()
          throw error
        }
        crash('committed')
      },
    })
  }

  async close(): Promise<void> {
    for (const each of this.#all) each.isReleased = true
    await Promise.all(this.running.splice(0).map(({ consumer }) => consumer.disconnect()))
    await this.log.close()
  }
}

it('what a group copies in transactions is there once, in order, whatever happens to its members', {
  timeout: 3_600_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(command, { minLength: 5, maxLength: 20 }),
      fc.constantFrom(...Object.values(PartitionAssigners)),
      async (commands, assignor) => {
        const directory = temporaryDirectory()
        const log = await openClientLog({ dir: directory.path, fsync: 'never' })
        log.createTopic('in', PARTITIONS)
        log.createTopic('out', PARTITIONS)
        const world = new World(log, assignor)
        try {
          for (const one of commands) await world.run(one)
          await world.drain()
        } finally {
          await world.close()
        }
        const again = await openClientLog({ dir: directory.path, fsync: 'never' })
        try {
          const reopened = new World(again, assignor)
          reopened.sent.splice(0, PARTITIONS, ...world.sent)
          reopened.check()
        } finally {
          await again.close()
          directory.remove()
        }
      },
    ),
    { numRuns: RUNS, ...(SEED === undefined ? {} : { seed: Number(SEED) }) },
  )
})
