import { count, Millrace, sum, t } from 'millrace'

/**
 * A directory as an engine leaves it: untyped topics with each codec, a typed one, and the checkpoint of a query with state. Written once for
 * each version of a format, and opened by every later one.
 */
const Click = t.struct({
  page: t.string,
  price: t.double.nullable(),
  tags: t.array(t.string),
  at: t.timestamp,
})

export const goldenCodecs = ['uncompressed', 'gzip', 'snappy', 'lz4', 'zstd'] as const
const TIMESTAMP = 1_750_000_000_000
const SENDS = 6
const RECORDS = 25

const messagesOf = (send: number): { key: string | null; value: string | null; headers?: { trace: string }; timestamp: number }[] =>
  Array.from({ length: RECORDS }, (_, i) => {
    const n = send * RECORDS + i
    return {
      key: n % 7 === 3 ? null : `key-${n % 5}`,
      value: n % 11 === 4 ? null : `value ${n} of the golden directory`,
      ...(n % 5 === 0 ? { headers: { trace: `t${n}` } } : {}),
      timestamp: TIMESTAMP + n,
    }
  })

const clicksOf = (send: number): { key: string; value: Record<string, unknown>; timestamp: number }[] =>
  Array.from({ length: RECORDS }, (_, i) => {
    const n = send * RECORDS + i
    const value = { page: `/${n % 4}`, price: n % 3 === 0 ? null : n / 2, tags: n % 2 === 0 ? [] : ['a', 'ü'], at: TIMESTAMP + n }
    return { key: `u${n % 6}`, value, timestamp: TIMESTAMP + n }
  })

/** Fills a new directory, with codecs that this Node can write, and stops cleanly. */
export async function writeDirectory(dir: string): Promise<void> {
  const mill = await Millrace.open({ dir, workers: 1 })
  const config = { 'retention.ms': -1, 'segment.bytes': 2048, 'index.interval.bytes': 200 }
  const producer = mill.producer()
  for (const codec of goldenCodecs) {
    await mill.topics.create(`rows-${codec}`, { config: { ...config, 'compression.type': codec } })
    for (let send = 0; send < SENDS; send++) await producer.send({ topic: `rows-${codec}`, messages: messagesOf(send) })
  }
  await mill.topics.create('columns', { schema: Click, config })
  await mill.topics.create('columns-lz4', { schema: Click, config: { ...config, 'compression.type': 'lz4' } })
  for (const topic of ['columns', 'columns-lz4']) {
    for (let send = 0; send < SENDS; send++) await producer.send({ topic, messages: clicksOf(send) })
  }
  await runTotals(mill)
  await mill.close()
}

/** What the query adds up, in the epochs that it runs now: the state goes on from the checkpoint. */
async function runTotals(mill: Millrace): Promise<Record<string, { n: unknown; total: unknown }>> {
  const totals: Record<string, { n: unknown; total: unknown }> = {}
  const query = await mill.readStream
    .option('startingOffsets', 'earliest')
    .topic('columns')
    .groupBy('page')
    .agg({ n: count(), total: sum('price') })
    .writeStream.queryName('totals')
    .outputMode('update')
    .trigger({ availableNow: true })
    .foreachBatch(async (rows: { collect(): Promise<Record<string, unknown>[]> }) => {
      for (const row of await rows.collect()) totals[String(row['page'])] = { n: row['n'], total: row['total'] }
    })
    .start()
  await query.awaitTermination()
  return totals
}

export interface DirectoryFindings {
  readonly rows: Readonly<Record<string, unknown>>
  readonly columns: Readonly<Record<string, unknown>>
  readonly totals: unknown
}

/** Opens a copy of a directory and takes everything out of it; then one more click, which the restored state must count. */
export async function readDirectory(dir: string): Promise<DirectoryFindings> {
  const mill = await Millrace.open({ dir, workers: 1 })
  const rows: Record<string, unknown> = {}
  const columns: Record<string, unknown> = {}
  for (const codec of goldenCodecs) rows[codec] = await readTopic(mill, `rows-${codec}`, (value) => (value === null ? null : String(value)))
  for (const topic of ['columns', 'columns-lz4']) columns[topic] = await readTopic(mill, topic, (value) => value)
  const more = { page: '/0', price: 1000, tags: [], at: TIMESTAMP + 9999 }
  await mill.producer().send({ topic: 'columns', messages: [{ key: 'u0', value: more, timestamp: TIMESTAMP + 9999 }] })
  const totals = await runTotals(mill)
  await mill.close()
  return { rows, columns, totals }
}

async function readTopic(mill: Millrace, topic: string, show: (value: unknown) => unknown): Promise<unknown[]> {
  const consumer = mill.consumer({ groupId: 'golden' })
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  const found: unknown[] = []
  for await (const message of consumer) {
    const headers = Object.fromEntries(Object.entries(message.headers).map(([name, value]) => [name, String(value)]))
    found.push({ key: message.key === null ? null : String(message.key), value: show(message.value), headers, timestamp: message.timestamp, offset: message.offset })
    if (found.length === SENDS * RECORDS) break
  }
  await consumer.disconnect()
  return found
}

/** What must be found, from what was sent. */
export function expectedFindings(): DirectoryFindings {
  const all = Array.from({ length: SENDS }, (_, send) => messagesOf(send)).flat()
  const clicks = Array.from({ length: SENDS }, (_, send) => clicksOf(send)).flat()
  const shown = (message: { key: string | null; value: unknown; headers?: object; timestamp: number }, i: number): unknown => ({
    key: message.key,
    value: message.value,
    headers: message.headers ?? {},
    timestamp: String(message.timestamp),
    offset: String(i),
  })
  const ofPage = clicks.filter((click) => click.value['page'] === '/0')
  const total = ofPage.reduce((sumSoFar, click) => sumSoFar + Number(click.value['price'] ?? 0), 1000)
  return {
    rows: Object.fromEntries(goldenCodecs.map((codec) => [codec, all.map(shown)])),
    columns: { columns: clicks.map(shown), 'columns-lz4': clicks.map(shown) },
    totals: { '/0': { n: ofPage.length + 1, total } },
  }
}
