import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { count, Millrace, max, sum, t } from 'millrace'
import type { Bench, Line } from '../lib/line.js'
import { check, interleave, rates } from '../lib/measure.js'

/**
 * A file of JSON lines, and one of CSV, from disk through filters and sums, one worker; beside each what a program by hand does with the same file: `JSON.parse` of
 * each line, `split(',')` of each line.
 */
const Visit = t.struct({ id: t.long, page: t.string, price: t.double, at: t.timestamp, member: t.boolean })

interface Sums {
  n: number
  price: number
  last: number
}

const bench: Bench = {
  name: 'read-files',
  suite: 'scan',
  async run({ quick, directory }) {
    const records = quick ? 300_000 : 1_000_000
    const json = join(directory, 'visits.json')
    const csv = join(directory, 'visits.csv')
    const expected = writeVisits(json, csv, records)
    const mill = await Millrace.open({ workers: 1 })
    const lines: Line[] = []
    for (const [format, path] of Object.entries({ json, csv })) {
      const byHand = format === 'json' ? parsedByHand : splitByHand
      const { a: bare, b: ours } = await interleave(
        { warmUp: 1, repeats: quick ? 3 : 5 },
        () => verify(byHand(path), expected),
        async () => {
          const rows = await mill.read
            .schema(Visit)
            .format(format)
            .load(path)
            .filter('member')
            .agg({ n: count(), price: sum('price'), last: max('id') })
            .collect()
          verify(rows[0] as Sums, expected)
        },
      )
      lines.push({
        what: `${format === 'json' ? 'JSON lines' : 'CSV'} from a file: filter and sums, one worker`,
        ...rates(records, ours),
        unit: 'records/s',
        limit: {
          what: format === 'json' ? 'JSON.parse of each line' : 'split of each line',
          value: rates(records, bare).figure,
        },
      })
    }
    await mill.close()
    return lines
  },
}

export default bench

function verify(found: Sums, expected: Sums): void {
  const isNear = Math.abs(found.price - expected.price) < 1e-6 * expected.price
  check(found.n === expected.n && found.last === expected.last && isNear, `sums ${JSON.stringify(found)}`)
}

function writeVisits(json: string, csv: string, records: number): Sums {
  const sums: Sums = { n: 0, price: 0, last: 0 }
  writeFileSync(json, '')
  writeFileSync(csv, '')
  const files = [openSync(json, 'w'), openSync(csv, 'w')] as const
  const texts = ['', '']
  for (let id = 0; id < records; id++) {
    const visit = {
      id,
      page: `/products/${id % 1000}`,
      price: ((id * 7919) % 10_000) / 100,
      at: new Date(1_767_225_600_000 + id * 37).toISOString(),
      member: id % 3 === 0,
    }
    if (visit.member) {
      sums.n += 1
      sums.price += visit.price
      sums.last = id
    }
    texts[0] += `${JSON.stringify(visit)}\n`
    texts[1] += `${visit.id},${visit.page},${visit.price},${visit.at},${visit.member}\n`
    if (id % 1000 !== 999 && id !== records - 1) continue
    files.forEach((file, i) => {
      writeSync(file, texts[i] as string)
      texts[i] = ''
    })
  }
  for (const file of files) closeSync(file)
  return sums
}

function parsedByHand(path: string): Sums {
  const sums: Sums = { n: 0, price: 0, last: 0 }
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    if (line === '') continue
    const { id, price, member } = JSON.parse(line) as { id: number; price: number; member: boolean }
    if (member) add(sums, id, price)
  }
  return sums
}

function splitByHand(path: string): Sums {
  const sums: Sums = { n: 0, price: 0, last: 0 }
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    if (line === '') continue
    const cells = line.split(',')
    if (cells[4] === 'true') add(sums, Number(cells[0]), Number(cells[2]))
  }
  return sums
}

function add(sums: Sums, id: number, price: number): void {
  sums.n += 1
  sums.price += price
  sums.last = Math.max(sums.last, id)
}
