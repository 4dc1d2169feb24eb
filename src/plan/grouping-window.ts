import type { BoundExpression } from './expression.js'

/**
 * The window among the grouping keys, and where windows and slices lie in time.
 *
 * Sliding windows overlap, so a record counts in several of them. It is kept once, in its *slice*: the time between two
 * neighbouring borders of windows, whichever they are. All records of a slice are in the same windows, and a window is its slices
 * one behind the other:
 *
 *   size 10, slide 4     windows   [0 ───────── 10)
 *                                       [4 ───────── 14)
 *                                            [8 ───────── 18)
 *                        slices    ··|2 |4 |6 |8 |10|12|14|…        borders: k · 4 and k · 4 + 10 mod 4
 *
 * There are two slices a slide, or one where the slide divides the size, however many windows hold them.
 */
export type GroupingWindow = TumblingWindow | SlidingWindow | SessionWindow

interface WindowKey {
  readonly name: string
  /** Its place among all keys in the output. */
  readonly position: number
  readonly eventTime: BoundExpression
}

export interface TumblingWindow extends WindowKey {
  readonly kind: 'tumbling'
  readonly sizeMs: number
  readonly startMs: number
}

export interface SlidingWindow extends WindowKey {
  readonly kind: 'sliding'
  readonly sizeMs: number
  readonly slideMs: number
  readonly startMs: number
}

/** A session lasts from its first record to the last moment at which a record keeps it open: time + gap. A record of that very moment belongs to it, as in Spark. */
export interface SessionWindow extends WindowKey {
  readonly kind: 'session'
  /** Milliseconds, a long; a record whose gap is null or not positive belongs to no session. */
  readonly gap: BoundExpression
}

/** The expressions over the rows that are grouped. */
export function windowExpressions(window: GroupingWindow | undefined): readonly BoundExpression[] {
  if (window === undefined) return []
  return window.kind === 'session' ? [window.eventTime, window.gap] : [window.eventTime]
}

export function mapWindow<W extends GroupingWindow>(window: W, change: (e: BoundExpression) => BoundExpression): W {
  const eventTime = change(window.eventTime)
  return window.kind === 'session' ? { ...window, eventTime, gap: change(window.gap) } : { ...window, eventTime }
}

/** What the state of the grouping depends on. A session's gap is not part of it: it may change between runs. */
export function windowSignature(window: GroupingWindow): string {
  switch (window.kind) {
    case 'tumbling':
      return `window(${window.sizeMs},${window.startMs})`
    case 'sliding':
      return `window(${window.sizeMs},${window.slideMs},${window.startMs})`
    case 'session':
      return 'session'
  }
}

/** Length of the first of two slices of a slide; 0 where there is one. */
export const sliceOffset = ({ sizeMs, slideMs }: Spacing): number => sizeMs % slideMs

type Spacing = Pick<SlidingWindow, 'sizeMs' | 'slideMs' | 'startMs'>

/** Start of the slice that holds the time. */
export function sliceStart(spacing: Spacing, time: number): number {
  const slide = slideStart(spacing, time)
  const offset = sliceOffset(spacing)
  return time - slide < offset || offset === 0 ? slide : slide + offset
}

/** The last window that begins at or before the time: the last one that holds it. */
export function lastWindow(spacing: Spacing, time: number): number {
  return slideStart(spacing, time)
}

/** The first window that ends behind the time: the first one that holds it. */
export function firstWindow(spacing: Spacing, time: number): number {
  return slideStart(spacing, time - spacing.sizeMs) + spacing.slideMs
}

function slideStart({ slideMs, startMs }: Spacing, time: number): number {
  return Math.floor((time - startMs) / slideMs) * slideMs + startMs
}
