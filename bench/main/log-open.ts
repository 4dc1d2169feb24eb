import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Millrace } from 'millrace'
import type { Bench } from '../lib/line.js'
import { LOG_TOPIC } from '../lib/log-shapes.js'
import { check, median } from '../lib/measure.js'

/** From `Millrace.open` to an engine that answers, over a log that a process of its own has left: closed, or killed while it wrote. */
const bench: Bench = {
  name: 'log-open',
  suite: 'log',
  async run({ quick, directory }) {
    const mebibytes = quick ? 128 : 1024
    const closed = join(directory, 'closed')
    const killed = join(directory, 'killed')
    const stored = await fill(closed, mebibytes, 'close')
    const acknowledged = await fill(killed, mebibytes, 'kill')
    const clean: number[] = []
    let start = performance.now()
    let mill = await Millrace.open({ dir: killed, workers: 1 })
    const afterKill = performance.now() - start
    const found = await recordsIn(mill)
    check(found >= acknowledged, `${found} records after the kill, ${acknowledged} were acknowledged`)
    await mill.close()
    for (let i = 0; i < (quick ? 2 : 5); i++) {
      start = performance.now()
      mill = await Millrace.open({ dir: closed, workers: 1 })
      clean.push(performance.now() - start)
      if (i === 0) check((await recordsIn(mill)) === stored, `not the ${stored} records that were stored`)
      await mill.close()
    }
    const share = mebibytes / 1024
    const of = `${mebibytes} MiB in 4 partitions`
    return [
      { what: `open a log of ${of}, closed`, figure: median(clean), unit: 'ms', required: { atMost: 2000 * share } },
      { what: `open a log of ${of}, killed`, figure: afterKill, unit: 'ms', required: { atMost: 5000 * share } },
    ]
  },
}

export default bench

async function recordsIn(mill: Millrace): Promise<number> {
  return await mill.read.format('log').option('subscribe', LOG_TOPIC).load().count()
}

/** Fills a log in another process, which then closes it or is killed; the records it was told are stored. */
async function fill(dir: string, mebibytes: number, end: 'close' | 'kill'): Promise<number> {
  const launch = fileURLToPath(new URL('../lib/launch.js', import.meta.url))
  const child = fork(launch, ['./fill-log.ts', dir, String(mebibytes), end], { execArgv: [] })
  let records = 0
  child.on('message', (message: number) => {
    records = message
    if (end === 'kill') child.kill('SIGKILL')
  })
  await once(child, 'exit')
  check(records > 0, 'the log was not filled')
  return records
}
