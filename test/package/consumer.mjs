import { col, Millrace, t } from 'millrace'

const mill = await Millrace.open({ workers: 1 })
const rows = await mill
  .createDataFrame([{ a: 1 }, { a: 2 }], t.struct({ a: t.int }))
  .filter(col('a').gt(1))
  .collect()
await mill.close()
process.stdout.write(JSON.stringify(rows))
