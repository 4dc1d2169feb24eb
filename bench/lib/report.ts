import { cpus, release } from 'node:os'
import Table from 'cli-table3'
import { type Line, ratioOf, reached } from './line.js'

/** The lines as a table for people, and as JSON for machines. */

function figureText(value: number, unit: Line['unit']): string {
  if (unit === 'records/s') return `${(value / 1e6).toFixed(value < 1e6 ? 3 : 2)} M/s`
  if (unit === 'records/CPU s') return `${(value / 1e6).toFixed(2)} M/CPU s`
  if (unit === 'ms') return `${value.toFixed(value < 10 ? 3 : 1)} ms`
  if (unit === 'MB') return `${value.toFixed(1)} MB`
  if (unit === 'times') return `${value.toFixed(2)} ×`
  return `${value.toFixed(2)} %`
}

function requiredText(line: Line): string {
  const required = line.required
  if (required === undefined) return ''
  const parts: string[] = []
  if (required.atLeast !== undefined) parts.push(`≥ ${figureText(required.atLeast, line.unit)}`)
  if (required.atMost !== undefined) parts.push(`≤ ${figureText(required.atMost, line.unit)}`)
  if (required.ofLimit !== undefined) parts.push(`≥ ${Math.round(required.ofLimit * 100)} % of limit`)
  return parts.join(required.either === true ? '\nor ' : '\n')
}

function verdict(line: Line): string {
  const ok = reached(line)
  return ok === undefined ? '' : ok ? 'ok' : 'NOT'
}

export function toTable(lines: readonly Line[]): string {
  const table = new Table({
    head: ['line', 'figure', 'limit of this run', 'ratio', 'required', ''],
    style: { head: [], border: [] },
    colAligns: ['left', 'right', 'right', 'right', 'left', 'left'],
  })
  for (const line of lines) {
    const ratio = ratioOf(line)
    const spread = line.spread
    table.push([
      line.what,
      figureText(line.figure, line.unit) +
        (spread === undefined ? '' : `\n${figureText(spread.min, line.unit)} – ${figureText(spread.max, line.unit)}`),
      line.limit === undefined ? '' : `${figureText(line.limit.value, line.unit)}\n${line.limit.what}`,
      ratio === undefined ? '' : `${Math.round(ratio * 100)} %`,
      requiredText(line),
      verdict(line),
    ])
  }
  return table.toString()
}

export function toJson(lines: readonly Line[], quick: boolean): string {
  const machine = {
    node: process.version,
    cpu: cpus()[0]?.model ?? '',
    cores: cpus().length,
    system: `${process.platform} ${release()}`,
  }
  const results = lines.map((line) => ({ ...line, ratio: ratioOf(line) ?? null, reached: reached(line) ?? null }))
  return `${JSON.stringify({ at: new Date().toISOString(), quick, machine, lines: results }, null, 2)}\n`
}
