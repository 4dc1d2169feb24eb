import { col, Millrace, t } from 'millrace'

const Row = t.struct({ a: t.int })
const input: t.infer<typeof Row>[] = [{ a: 1 }, { a: 2 }]
const mill = await Millrace.open({ workers: 1 })
const rows = await mill.createDataFrame(input, Row).filter(col('a').gt(1)).collect()
await mill.close()
process.stdout.write(JSON.stringify(rows))
