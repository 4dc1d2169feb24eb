import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { Producer } from '../../src/client/producer.js'
import type { Transaction } from '../../src/client/transaction.js'
import { type OpenLog, openLog } from '../log/log-fixture.js'
import { envOf, MemoryFileSystem } from '../log/memory-file-system.js'
import { seen } from '../log/transaction-fixture.js'

const PARTITIONS = 2
const IDS = ['x', 'y'] as const
type Id = (typeof IDS)[number]

/** A record in the model: how its transaction stands now. */
interface Entry {
  readonly value: string
  readonly transaction: { state: 'open' | 'committed' | 'aborted' }
}

/** The reference: what was sent, in order, and for each id who has it and what is open. */
interface Model {
  readonly partitions: Entry[][]
  readonly holders: Record<Id, { open: { state: Entry['transaction']['state'] } | undefined } | undefined>
  serial: number
}

interface Real {
  fs: MemoryFileSystem
  log: OpenLog
  readonly producers: Partial<Record<Id, { producer: Producer; tx: Transaction | undefined }>>
  /** Those from whom an id was taken while they had a transaction open. */
  readonly zombies: { producer: Producer; tx: Transaction }[]
}

type Command = fc.AsyncCommand<Model, Real>

const committed = (entries: readonly Entry[]): string[] => {
  const open = entries.findIndex(({ transaction }) => transaction.state === 'open')
  return (open === -1 ? entries : entries.slice(0, open))
    .filter(({ transaction }) => transaction.state === 'committed')
    .map(({ value }) => value)
}

async function check(model: Model, real: Real): Promise<void> {
  model.partitions.forEach((entries, partition) => {
    expect(seen(real.log, 't', partition, 'read_committed')).toEqual(committed(entries))
    expect(seen(real.log, 't', partition, 'read_uncommitted')).toEqual(entries.map(({ value }) => value))
  })
}

const command = (
  name: string,
  check: (model: Readonly<Model>) => boolean,
  run: (model: Model, real: Real) => Promise<void>,
): Command => ({ check, run: async (model, real) => run(model, real), toString: () => name })

/** A new producer of the id, which fences the one before and aborts what that one left open. */
const takeOver = (id: Id): Command =>
  command(
    `takeOver ${id}`,
    () => true,
    async (model, real) => {
      const before = real.producers[id]
      if (before?.tx !== undefined) real.zombies.push({ producer: before.producer, tx: before.tx })
      const producer = new Producer(real.log.host, { transactionalId: id })
      await producer.connect()
      real.producers[id] = { producer, tx: undefined }
      const open = model.holders[id]?.open
      if (open !== undefined) open.state = 'aborted'
      model.holders[id] = { open: undefined }
      await check(model, real)
    },
  )

const begin = (id: Id): Command =>
  command(
    `begin ${id}`,
    (model) => model.holders[id] !== undefined,
    async (model, real) => {
      const holder = model.holders[id]
      const own = real.producers[id]
      if (holder === undefined || own === undefined) return
      if (holder.open !== undefined) {
        await expect(own.producer.transaction()).rejects.toMatchObject({ code: 'TRANSACTION_OPEN' })
        return
      }
      own.tx = await own.producer.transaction()
      holder.open = { state: 'open' }
    },
  )

const send = (id: Id, partitions: readonly number[]): Command =>
  command(
    `send ${id} ${partitions.join()}`,
    (model) => model.holders[id] !== undefined,
    async (model, real) => {
      const holder = model.holders[id]
      const own = real.producers[id]
      if (holder === undefined || own === undefined) return
      const values = partitions.map((partition) => ({ partition, value: `${id}${model.serial++}` }))
      const record = { topic: 't', messages: values }
      if (holder.open === undefined || own.tx === undefined) {
        await expect(own.producer.send(record)).rejects.toMatchObject({ code: 'NOT_IN_TRANSACTION' })
        return
      }
      await own.tx.send(record)
      for (const { partition, value } of values) {
        model.partitions[partition]?.push({ value, transaction: holder.open })
      }
      await check(model, real)
    },
  )

const plain = (partition: number): Command =>
  command(
    `plain ${partition}`,
    () => true,
    async (model, real) => {
      const value = `p${model.serial++}`
      await new Producer(real.log.host, { idempotent: true }).send({ topic: 't', messages: [{ partition, value }] })
      model.partitions[partition]?.push({ value, transaction: { state: 'committed' } })
    },
  )

const end = (id: Id, how: 'commit' | 'abort'): Command =>
  command(
    `${how} ${id}`,
    (model) => model.holders[id]?.open !== undefined,
    async (model, real) => {
      const holder = model.holders[id]
      const own = real.producers[id]
      const tx = own?.tx
      if (holder?.open === undefined || own === undefined || tx === undefined) return
      await tx[how]()
      holder.open.state = how === 'commit' ? 'committed' : 'aborted'
      holder.open = undefined
      own.tx = undefined
      await expect(tx[how]()).rejects.toMatchObject({ code: 'INVALID_TRANSACTION_STATE' })
      await check(model, real)
    },
  )

/** Those who were taken over may try what they like. */
const zombie = (what: 'send' | 'commit' | 'abort'): Command =>
  command(
    `zombie ${what}`,
    () => true,
    async (model, real) => {
      for (const { tx } of real.zombies.splice(0)) {
        const tried =
          what === 'send' ? tx.send({ topic: 't', messages: [{ partition: 0, value: 'zombie' }] }) : tx[what]()
        await expect(tried).rejects.toMatchObject({ code: 'PRODUCER_FENCED' })
      }
      await check(model, real)
    },
  )

const restart = (how: 'close' | 'kill'): Command =>
  command(
    how,
    () => true,
    async (model, real) => {
      if (how === 'close') await real.log.close()
      else {
        real.log.abandon()
        // What was acknowledged is with the operating system; the dead process writes no more.
        const left = new MemoryFileSystem()
        for (const [path, file] of real.fs.files)
          if (!path.endsWith('/lock')) left.replaceFile(path, Buffer.from(file.content.subarray(0, file.size)))
        for (const directory of real.fs.directories) left.directories.add(directory)
        real.fs = left
      }
      real.log = await openLog({ dir: '/d', env: envOf(real.fs) })
      real.zombies.length = 0
      for (const id of IDS) {
        const open = model.holders[id]?.open
        if (open !== undefined) open.state = 'aborted'
        model.holders[id] = undefined
        delete real.producers[id]
      }
      await check(model, real)
    },
  )

const id = fc.constantFrom(...IDS)
const commands = fc.commands(
  [
    id.map(takeOver),
    id.map(begin),
    fc.tuple(id, fc.array(fc.nat(PARTITIONS - 1), { minLength: 1, maxLength: 3 })).map(([of, to]) => send(of, to)),
    fc.nat(PARTITIONS - 1).map(plain),
    fc.tuple(id, fc.constantFrom('commit' as const, 'abort' as const)).map(([of, how]) => end(of, how)),
    fc.constantFrom('send' as const, 'commit' as const, 'abort' as const).map(zombie),
    fc.constantFrom('close' as const, 'kill' as const).map(restart),
  ],
  { maxCommands: 40 },
)

it('producers and transactions do what a small model says, through take-overs, crashes and restarts', async () => {
  await fc.assert(
    fc.asyncProperty(commands, async (run) => {
      const fs = new MemoryFileSystem()
      const log = await openLog({ dir: '/d', env: envOf(fs) })
      log.engine.createTopic({ name: 't', partitions: PARTITIONS, config: { 'segment.bytes': 1024 } })
      const real: Real = { fs, log, producers: {}, zombies: [] }
      const model: Model = { partitions: [[], []], holders: { x: undefined, y: undefined }, serial: 0 }
      try {
        await fc.asyncModelRun(() => ({ model, real }), run)
      } finally {
        await real.log.close()
      }
    }),
    { numRuns: Number(process.env['MILLRACE_MODEL_RUNS'] ?? 40) },
  )
}, 120_000)
