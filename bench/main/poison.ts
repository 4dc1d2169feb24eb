import { col, fromJson, Millrace, t } from 'millrace'
import type { Bench, Line } from '../lib/line.js'
import { check, interleave, rates } from '../lib/measure.js'

/**
 * A stream some of whose records fail, and become dead letters, beside the same stream without: an untyped topic of seven fields as JSON or as one number, by an
 * expression and by a function, noop. Records in are rows out and letters.
 */
const PARTITIONS = 4
const Fields = t.struct({ user: t.string, page: t.string, ts: t.double, price: t.double, quantity: t.int })

const input = (mill: Millrace, topic: string) =>
  mill.readStream.option('startingOffsets', 'earliest').format('log').option('subscribe', topic).load()

/** By what a record fails. */
const steps = {
  fromJson: (mill: Millrace, topic: string) =>
    input(mill, topic).select(fromJson(col('value').cast('string'), Fields).alias('fields')),
  'JSON.parse in a function': (mill: Millrace, topic: string) =>
    input(mill, topic).map((row) => JSON.parse(new TextDecoder().decode(row.value as Uint8Array)), Fields),
}

const good = (n: number): string =>
  JSON.stringify({
    user: `user-${n % 10_000}`,
    page: `/products/${n % 977}/details`,
    ts: 1_700_000_000_000 + n,
    price: (n % 1000) / 4,
    quantity: n % 7,
    session: `s-${n % 50_000}`,
    agent: 'Mozilla/5.0',
  })
const poison = (n: number): string => good(n).replace('"quantity":', '"quantity":x')

async function fill(mill: Millrace, topic: string, records: number, every: number): Promise<void> {
  await mill.topics.create(topic, { partitions: PARTITIONS })
  const producer = mill.producer()
  for (let from = 0; from < records; from += 10_000) {
    const messages = Array.from({ length: Math.min(10_000, records - from) }, (_, i) => {
      const n = from + i
      return { key: `user-${n % 10_000}`, value: every > 0 && n % every === 0 ? poison(n) : good(n) }
    })
    await producer.send({ topic, messages })
  }
}

const bench: Bench = {
  name: 'poison',
  suite: 'failures',
  async run({ quick }) {
    const records = quick ? 10_000 : 1_000_000
    const lines: Line[] = []
    const mill = await Millrace.open({ workers: 1, memoryBudget: 4 * 1024 ** 3 })
    await fill(mill, 'clean', records, 0)
    const few = ['0.1 %', 1000, 0.9] as const
    const many = ['10 %', 10, 0.5] as const
    for (const [share, every, ofLimit] of quick ? [many] : [few, many]) {
      const topic = `poison-${every}`
      await fill(mill, topic, records, every)
      for (const [name, step] of Object.entries(steps)) {
        const run = async (from: string, failures: number): Promise<void> => {
          const query = await step(mill, from)
            .writeStream.format('noop')
            .trigger({ availableNow: true })
            .onError()
            .start()
          await query.awaitTermination()
          const letters = query.recentProgress.reduce((sum, one) => sum + (one.failures?.numDeadLetters ?? 0), 0)
          check(letters === failures, `${letters} dead letters of ${failures}`)
        }
        const { a: clean, b: ours } = await interleave(
          { warmUp: 1, repeats: quick ? 1 : 5 },
          () => run('clean', 0),
          () => run(topic, records / every),
        )
        lines.push({
          what: `${share} dead letters, ${name}`,
          ...rates(records, ours),
          unit: 'records/s',
          limit: { what: 'the same without any', value: rates(records, clean).figure },
          required: { ofLimit },
        })
      }
    }
    await mill.close()
    return lines
  },
}

export default bench
