import type { DataFrame } from '../../src/api/dataframe.js'
import { Millrace } from '../../src/api/millrace.js'
import type { Trigger } from '../../src/api/trigger.js'
import { StructSchema } from '../../src/types/schema.js'
import { buildQuery } from './build-query.js'
import type { CaseMode, QueryCase, Row } from './case-file.js'

/** Runs a case through the public API and gives its final rows. */
export interface CaseRun {
  readonly mode: CaseMode
  readonly workers: number
}

const TOPIC = 'input'
const QUERY = 'result'

const triggers: Readonly<Record<Exclude<CaseMode, 'batch'>, Trigger>> = {
  'micro-batch': { processingTime: 0 },
  continuous: { continuous: '20 ms' },
}

export interface CaseResult {
  readonly rows: readonly Row[]
  readonly frame: DataFrame
}

export async function runCase(query: QueryCase, { mode, workers }: CaseRun): Promise<CaseResult> {
  const mill = await Millrace.open({ workers })
  try {
    const partitions = Math.max(1, query.input.length)
    await mill.topics.create(TOPIC, { partitions, schema: new StructSchema<Row>(query.schema) })
    if (mode === 'batch') {
      await send(mill, query, async () => {})
      const frame = buildQuery(mill.read.topic(TOPIC), query.operators)
      return { frame, rows: await frame.collect() }
    }
    const frame = buildQuery(mill.readStream.option('startingOffsets', 'earliest').topic(TOPIC), query.operators)
    const running = await frame.writeStream
      .format('memory')
      .queryName(QUERY)
      .outputMode(query.output)
      .trigger(triggers[mode])
      .start()
    // In micro-batch mode each round of sends is a batch of its own; in continuous mode they follow one another.
    await send(mill, query, async () => {
      if (mode === 'micro-batch') await running.processAllAvailable()
    })
    await running.drain()
    return { frame, rows: await mill.table(QUERY).collect() }
  } finally {
    await mill.close()
  }
}

/** Round n is the n-th send of every partition. */
async function send(mill: Millrace, query: QueryCase, afterRound: () => Promise<void>): Promise<void> {
  const producer = mill.producer()
  const rounds = Math.max(0, ...query.input.map((sends) => sends.length))
  for (let round = 0; round < rounds; round += 1) {
    for (const [partition, sends] of query.input.entries()) {
      const rows = sends[round]
      if (rows === undefined) continue
      await producer.send({ topic: TOPIC, messages: rows.map((value) => ({ value, partition })) })
    }
    await afterRound()
  }
}
