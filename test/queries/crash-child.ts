import { randomInt } from 'node:crypto'
import { serialize } from 'node:v8'
import { Millrace } from '../../dist/api/millrace.js'
import type { StreamingQuery } from '../../dist/api/streaming-query.js'
import { StructSchema } from '../../dist/types/schema.js'
import { type CaseInput, type CaseMode, inputsOf, type QueryCase, type Row } from './case-file.js'
import { crashCases, type Epoch } from './crash-cases.js'
import { streamingFrame, triggers } from './run-case.js'

/**
 * A process to be killed: runs all cases at once in one folder, and goes on where the process before it was killed.
 *
 *   crash-child FOLDER MODE WORKERS
 *
 * It prints `ready`, a line for each epoch that a query delivers (v8.serialize of an Epoch, in base64, and a semicolon), and `done`.
 */

async function main(dir: string, mode: Exclude<CaseMode, 'batch'>, workers: number): Promise<void> {
  const mill = await Millrace.open({ dir, workers })
  const cases = await Promise.all(
    crashCases(mode).map(async ({ file, query }) => {
      const topic = file.replace('.txt', '')
      const inputs = inputsOf(query, topic)
      for (const { topic: name, input } of inputs) {
        await ensureTopic(mill, name, input)
        if (input.ends) for (const one of await missingSends(mill, name, input)) await one()
      }
      const running = await start(mill, topic, file, query, mode)
      const sends = await Promise.all(inputs.map(({ topic: name, input }) => missingSends(mill, name, input)))
      return { running, sends: sends.flat() }
    }),
  )
  const running = cases.map((one) => one.running)
  const rounds = Math.max(...cases.map((one) => one.sends.length))
  const sends = Array.from({ length: rounds }, (_, i) => cases.flatMap((one) => one.sends[i] ?? [])).flat()
  process.stdout.write('ready\n')
  // The cases take turns, so that a kill finds all of them on their way.
  for (const send of sends) {
    await send()
    await new Promise((resolve) => setImmediate(resolve))
    if (randomInt(3) === 0) await running[randomInt(running.length)]?.processAllAvailable()
  }
  await Promise.all(running.map((query) => query.drain()))
  await mill.close()
  process.stdout.write('done\n')
}

async function ensureTopic(mill: Millrace, topic: string, { sends, schema }: CaseInput): Promise<void> {
  if (mill.topics.list().some(({ name }) => name === topic)) return
  await mill.topics.create(topic, { partitions: Math.max(1, sends.length), schema: new StructSchema<Row>(schema) })
}

async function start(
  mill: Millrace,
  topic: string,
  file: string,
  query: QueryCase,
  mode: Exclude<CaseMode, 'batch'>,
): Promise<StreamingQuery> {
  return await streamingFrame(mill, query, topic)
    .writeStream.queryName(topic)
    .outputMode(query.output)
    // However long the machine takes between two sends, no partition is left behind.
    .option('idleTimeout', 'off')
    .trigger(triggers[mode])
    .foreachBatch(async (rows, epoch) => {
      const line: Epoch = { file, epoch, schema: rows.schema, rows: await rows.collect() }
      process.stdout.write(`${serialize(line).toString('base64')};\n`)
    })
    .start()
}

/** A send is in its partition as a whole or not at all, acknowledged or not: the log end offset tells. */
async function missingSends(mill: Millrace, topic: string, input: CaseInput): Promise<(() => Promise<void>)[]> {
  const { partitionStates } = await mill.topics.describe(topic)
  const producer = mill.producer()
  const missing: (() => Promise<void>)[] = []
  input.sends.forEach((sends, partition) => {
    let offset = 0
    for (const rows of sends) {
      offset += rows.length
      if (offset <= (partitionStates[partition]?.logEndOffset ?? 0)) continue
      missing.push(async () => {
        await producer.send({ topic, messages: rows.map((value) => ({ value, partition })) })
      })
    }
  })
  return missing
}

const [, , dir = '', mode = '', workers = ''] = process.argv
if (mode === 'micro-batch' || mode === 'continuous') await main(dir, mode, Number(workers))
