// CommonJS: require() of an ES module, which works as long as nothing in the package awaits at top level.
const { col, Millrace, t } = require('millrace')

async function main() {
  const mill = await Millrace.open({ workers: 1 })
  const rows = await mill
    .createDataFrame([{ a: 1 }, { a: 2 }], t.struct({ a: t.int }))
    .filter(col('a').gt(1))
    .collect()
  await mill.close()
  process.stdout.write(JSON.stringify(rows))
}

main()
