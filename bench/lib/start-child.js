/** A fresh process: milliseconds to import the package, and to the first row of a query in memory from the same start. */
const start = performance.now()
const { col, Millrace, t } = await import('millrace')
const imported = performance.now() - start
const mill = await Millrace.open()
const [row] = await mill
  .createDataFrame([{ a: 1 }, { a: 2 }], t.struct({ a: t.int }))
  .filter(col('a').gt(1))
  .collect()
const firstRow = performance.now() - start
await mill.close()
process.stdout.write(JSON.stringify({ imported, firstRow, row }))
