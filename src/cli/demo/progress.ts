import { Presets, SingleBar } from 'cli-progress'

/**
 * Progress of one phase: a bar that redraws itself on a terminal, a plain line now and then elsewhere
 * (a pipe, CI), where a bar would fill the log with control characters.
 */
export interface Progress {
  /** `done` of the total; `note` stands behind the figures. */
  update(done: number, note?: string): void
  /** `done` is less than the total where the phase was stopped. */
  finish(done: number, note?: string): void
}

export interface ProgressOutput {
  readonly isTTY?: boolean | undefined
  write(text: string): unknown
}

/** Lines without a terminal come at most this often. */
const LINE_INTERVAL_MS = 2_000

export function progress(
  label: string,
  total: number,
  output: ProgressOutput & NodeJS.WritableStream,
  now: () => number = () => performance.now(),
): Progress {
  return output.isTTY === true ? bar(label, total, output, now) : lines(label, total, output, now)
}

function bar(label: string, total: number, output: NodeJS.WritableStream, now: () => number): Progress {
  const started = now()
  const single = new SingleBar(
    {
      stream: output,
      format: `${label.padEnd(12)} {bar} {percentage}% │ {value}/{total} │ {rate} records/s {note}`,
      formatValue: (value, _options, type) => (type === 'value' || type === 'total' ? thousands(value) : String(value)),
      hideCursor: true,
      fps: 10,
      barsize: 24,
    },
    Presets.shades_classic,
  )
  single.start(total, 0, { rate: '0', note: '' })
  return {
    update(done, note = '') {
      single.update(done, { rate: rateText(done, now() - started), note })
    },
    finish(done, note = '') {
      single.update(done, { rate: rateText(done, now() - started), note })
      single.stop()
    },
  }
}

export function lines(label: string, total: number, output: ProgressOutput, now: () => number): Progress {
  const started = now()
  let last = started
  const print = (done: number, note: string): void => {
    const percent = total === 0 ? 100 : Math.floor((done / total) * 100)
    const text = `${label}: ${thousands(done)} of ${thousands(total)} (${percent} %), ${rateText(done, now() - started)} records/s`
    output.write(`${text}${note === '' ? '' : `, ${note}`}\n`)
  }
  return {
    update(done, note = '') {
      const at = now()
      // The last line is finish()'s.
      if (done >= total || at - last < LINE_INTERVAL_MS) return
      last = at
      print(done, note)
    },
    finish(done, note = '') {
      print(done, note)
    },
  }
}

export function thousands(value: number): string {
  return Math.round(value).toLocaleString('en')
}

function rateText(done: number, elapsedMs: number): string {
  return elapsedMs <= 0 ? '0' : thousands((done / elapsedMs) * 1000)
}
