import type { DataFrame } from '../../dist/api/dataframe.js'
import type { Millrace } from '../../dist/api/millrace.js'
import type { Trigger } from '../../dist/api/trigger.js'
import { StructSchema } from '../../dist/types/schema.js'
import { caseFrame } from './build-query.js'
import { type CaseMode, inputsOf, type QueryCase, type Row } from './case-file.js'

export const triggers: Readonly<Record<Exclude<CaseMode, 'batch'>, Trigger>> = {
  'micro-batch': { processingTime: 0 },
  continuous: { continuous: '20 ms' },
}

export interface CaseResult {
  readonly rows: readonly Row[]
  readonly frame: DataFrame
}

let runs = 0

/** Runs a case through the public API and gives its final rows. */
export async function runCase(mill: Millrace, query: QueryCase, mode: CaseMode): Promise<CaseResult> {
  runs += 1
  const topic = `case-${runs}`
  const inputs = inputsOf(query, topic)
  for (const { topic: name, input } of inputs) {
    const partitions = Math.max(1, input.sends.length)
    await mill.topics.create(name, { partitions, schema: new StructSchema<Row>(input.schema) })
  }
  try {
    return mode === 'batch' ? await runBatch(mill, query, topic) : await runStreaming(mill, query, mode, topic)
  } finally {
    for (const { topic: name } of inputs) await mill.topics.delete(name)
  }
}

async function runBatch(mill: Millrace, query: QueryCase, topic: string): Promise<CaseResult> {
  await send(mill, query, topic, 'everything', async () => {})
  const frame = caseFrame(
    query,
    inputsOf(query, topic).map(({ topic: name }) => mill.read.topic(name)),
  )
  return { frame, rows: await frame.collect() }
}

async function runStreaming(
  mill: Millrace,
  query: QueryCase,
  mode: Exclude<CaseMode, 'batch'>,
  topic: string,
): Promise<CaseResult> {
  const frame = streamingFrame(mill, query, topic)
  await send(mill, query, topic, 'what ends', async () => {})
  const running = await frame.writeStream
    .format('memory')
    .queryName(topic)
    .outputMode(query.output)
    // However long the machine takes between two sends, no partition is left behind.
    .option('idleTimeout', 'off')
    .trigger(triggers[mode])
    .start()
  // In micro-batch mode each round of sends is a batch of its own; in continuous mode they follow one another.
  await send(mill, query, topic, 'what streams', async () => {
    if (mode === 'micro-batch') await running.processAllAvailable()
  })
  await running.drain()
  return { frame, rows: await mill.table(topic).collect() }
}

/** The query of a case over its topics: what ends is read to its end, the other streams. */
export function streamingFrame(mill: Millrace, query: QueryCase, topic: string): DataFrame {
  const inputs = inputsOf(query, topic)
  return caseFrame(
    query,
    inputs.map(({ topic: name, input }) =>
      input.ends ? mill.read.topic(name) : mill.readStream.option('startingOffsets', 'earliest').topic(name),
    ),
  )
}

/** Round n is the n-th send of every partition. */
async function send(
  mill: Millrace,
  query: QueryCase,
  topic: string,
  which: 'everything' | 'what ends' | 'what streams',
  afterRound: () => Promise<void>,
): Promise<void> {
  const producer = mill.producer()
  const inputs = inputsOf(query, topic).filter(
    ({ input }) => which === 'everything' || input.ends === (which === 'what ends'),
  )
  const rounds = Math.max(0, ...inputs.flatMap(({ input }) => input.sends.map((sends) => sends.length)))
  for (let round = 0; round < rounds; round += 1) {
    for (const { topic: name, input } of inputs) {
      for (const [partition, sends] of input.sends.entries()) {
        const rows = sends[round]
        if (rows === undefined) continue
        await producer.send({ topic: name, messages: rows.map((value) => ({ value, partition })) })
      }
    }
    await afterRound()
  }
}
