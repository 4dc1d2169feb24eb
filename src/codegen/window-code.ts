import type { FunctionSource } from '../common/function-source.js'
import {
  type GroupingWindow,
  type SessionWindow,
  type SlidingWindow,
  sliceOffset,
  type TumblingWindow,
} from '../plan/grouping-window.js'
import { combineHash, hashInteger } from '../state/hash.js'
import type { CodeValue } from './code-value.js'

/**
 * Code that says for each row what time it counts in, and leaves out rows that are late for all of it.
 *
 *   tumbling   ws  the window's start
 *   sliding    ws  the slice's start           wf  start of the first window that the row counts in
 *   session    ws  the row's time              wf  from when on it takes other records   we  until when: time + gap
 *
 * *A row is late for a window that ends at or before its watermark.* It is late for the older windows of its slice before it is for the
 * newer ones, and counts in those that are left; so what it adds to its slice is kept apart from what counts in all of
 * the slice's windows, by `wf`. With a session it is the same: no session that ended at or before the watermark may have it, so it takes
 * other records from the millisecond behind the watermark on, and not from its own time. It depends on the row and its partition alone, so it is equal in all modes.
 */
export class WindowCode {
  constructor(
    private readonly source: FunctionSource,
    private readonly window: GroupingWindow,
    /** False where windows stay open, and behind another operator: what comes there is not behind the watermark that came before it. */
    private readonly late: boolean,
  ) {}

  /** Before the row loop: the window or slice of the row before, since neighbouring records mostly fall into the same. */
  declare(): void {
    if (this.window.kind === 'session') return
    this.source.line('let ws = 0, wh = 0, windowEnd = -Infinity;')
    if (this.window.kind === 'sliding') this.source.line('let wf = 0, first = 0, last = 0;')
  }

  /** `time` and `gap` are of the row at hand; leaves the loop's body where the row counts nowhere. */
  row(time: CodeValue, gap: CodeValue | undefined): void {
    if (time.isNull !== 'false') this.source.line(`if (${time.isNull}) { nullEventTime++; continue; }`)
    switch (this.window.kind) {
      case 'tumbling':
        this.#tumbling(this.window, time.value)
        break
      case 'sliding':
        this.#sliding(this.window, time.value)
        break
      case 'session':
        this.#session(this.window, time.value, gap as CodeValue)
    }
  }

  #tumbling({ sizeMs, startMs }: TumblingWindow, t: string): void {
    const { source } = this
    source.block(`if (!(${t} >= ws && ${t} < windowEnd))`, () => {
      source.line(`ws = ${floored(t, sizeMs, startMs)};`)
      source.line(`windowEnd = ws + ${sizeMs}; wh = ${source.constant(hashInteger)}(ws);`)
    })
    if (this.late) source.line('if (windowEnd <= watermark) { late++; continue; }')
  }

  /** `first` and `last` are the starts of the slice's first and last window. See plan/grouping-window.ts. */
  #sliding(window: SlidingWindow, t: string): void {
    const { source } = this
    const { sizeMs, slideMs, startMs } = window
    const offset = sliceOffset(window)
    const hashes = `wh = ${source.constant(combineHash)}(${source.constant(hashInteger)}(ws), ${source.constant(hashInteger)}(wf));`
    source.block(`if (!(${t} >= ws && ${t} < windowEnd))`, () => {
      source.line(`last = ${floored(t, slideMs, startMs)};`)
      if (offset === 0) source.line(`ws = last; windowEnd = last + ${slideMs};`)
      else {
        source.line(`if (${t} - last < ${offset}) { ws = last; windowEnd = last + ${offset}; }`)
        source.line(`else { ws = last + ${offset}; windowEnd = last + ${slideMs}; }`)
      }
      source.line(`first = ${floored(`(ws - ${sizeMs})`, slideMs, startMs)} + ${slideMs};`)
      source.line(`wf = first; ${hashes}`)
    })
    if (!this.late) return
    source.block(`if (first + ${sizeMs} <= watermark)`, () => {
      source.line(`if (last + ${sizeMs} <= watermark) { late++; continue; }`)
      source.line(`const open = ${floored(`(watermark - ${sizeMs})`, slideMs, startMs)} + ${slideMs};`)
      source.line(`if (open !== wf) { wf = open; ${hashes} }`)
    })
    source.line(`else if (wf !== first) { wf = first; ${hashes} }`)
  }

  #session(_window: SessionWindow, t: string, gap: CodeValue): void {
    const { source } = this
    const none = gap.isNull === 'false' ? `!(${gap.value} > 0)` : `${gap.isNull} || !(${gap.value} > 0)`
    if (gap.literal === undefined) source.line(`if (${none}) { nullEventTime++; continue; }`)
    source.line(`const ws = ${t}, we = ${t} + ${gap.value};`)
    if (!this.late) source.line('const wf = ws;')
    else {
      source.line('if (we <= watermark) { late++; continue; }')
      source.line('const wf = watermark >= ws ? watermark + 1 : ws;')
    }
  }
}

function floored(t: string, stepMs: number, startMs: number): string {
  if (startMs === 0) return `Math.floor(${t} / ${stepMs}) * ${stepMs}`
  const start = startMs < 0 ? `(${startMs})` : String(startMs)
  return `Math.floor((${t} - ${start}) / ${stepMs}) * ${stepMs} + ${start}`
}
