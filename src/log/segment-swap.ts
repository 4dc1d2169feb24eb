import type { Env } from '../common/env.js'
import { MillraceError, toErrorShape } from '../common/errors.js'
import { sealJson, unsealJson } from '../common/sealed-json.js'
import { cleanedPath, segmentAt, segmentPath } from './segment-files.js'

/**
 * How segment files leave a partition's directory, and how a compacted one takes the place of several. Kafka's suffixes:
 *
 *   …log.cleaned   is being written by compaction; counts for nothing
 *   …log.swap      whole and synced; takes its place under its own name next
 *   …replaces      JSON with a checksum, the base offsets of the segments that the new one holds besides its own; kept until they are gone
 *   …log.deleted   gone for the log; a reader may still have it open
 *
 * The order of a swap, each step durable before the next: the list of what is replaced, the name `.swap`, the name `.log`, the removal of what is
 * replaced, the removal of the list. At every moment each record is in a file that a reader, or recovery, finds by its offset. After a
 * crash a `.swap` is brought to its name, a list without a `.cleaned` beside it is carried out, and everything else is left over and goes.
 */
const LEFT_OVER = /\.(cleaned|deleted|replaces\.tmp)$/
const SWAP = /^(\d{20})\.log\.swap$/
const REPLACES = /^(\d{20})\.replaces$/

export interface Swap {
  readonly directory: string
  /** Of the segments whose records the new file holds, ascending; it has the name of the first. */
  readonly bases: readonly number[]
  /** A memory topic's spilled files are not synced. */
  readonly durable: boolean
  /** The new file has its name: from now on a reader that looks finds it. */
  readonly onRenamed: () => void
}

/** `<first>.log.cleaned` and its indexes are whole, and synced. */
export async function swapSegments(env: Env, swap: Swap): Promise<void> {
  const { directory, bases } = swap
  const { fs } = env
  const first = bases[0] as number
  const others = bases.slice(1)
  const log = segmentPath(directory, first, 'log')
  const syncNames = async (step: string): Promise<void> => {
    if (swap.durable) await fs.syncDirectoryLater(directory)
    env.passing?.(`swap: ${step}`)
  }
  if (others.length > 0) {
    await writeList(env, directory, first, others, swap.durable)
    await syncNames('the list of replaced segments is durable')
  }
  fs.rename(`${log}.cleaned`, `${log}.swap`)
  await syncNames('named .swap')
  // An index beside a log that it was not made for is only slow, never wrong: every place that it names is checked.
  for (const suffix of ['index', 'timeindex', 'txnindex'] as const) {
    const cleaned = cleanedPath(directory, first, suffix)
    if (fs.exists(cleaned)) fs.rename(cleaned, segmentPath(directory, first, suffix))
    else fs.remove(segmentPath(directory, first, suffix))
  }
  fs.rename(`${log}.swap`, log)
  swap.onRenamed()
  await syncNames('named .log')
  if (others.length === 0) return
  for (const base of others) removeSegment(env, directory, base)
  await syncNames('replaced segments are removed')
  fs.remove(listPath(directory, first))
}

/** What a crash in the middle of a swap or of a deletion has left. True where names were changed, which are not synced here. */
export function finishSwaps(env: Env, directory: string, onFault?: (fault: MillraceError) => void): boolean {
  const { fs } = env
  const names = fs.list(directory)
  let changed = false
  for (const name of names) {
    const digits = SWAP.exec(name)?.[1]
    if (digits === undefined) continue
    const base = Number(digits)
    // The indexes are those of the old file; they are made anew when they are missed.
    fs.remove(segmentPath(directory, base, 'index'))
    fs.remove(segmentPath(directory, base, 'timeindex'))
    fs.rename(`${directory}/${name}`, segmentPath(directory, base, 'log'))
    fs.syncDirectory(directory)
    changed = true
  }
  for (const name of names) {
    const digits = REPLACES.exec(name)?.[1]
    if (digits === undefined) continue
    // With the new file still under its first name the swap had not begun.
    if (!names.includes(`${digits}.log.cleaned`)) {
      for (const base of readList(env, `${directory}/${name}`, onFault)) removeSegment(env, directory, base)
      fs.syncDirectory(directory)
    }
    fs.remove(`${directory}/${name}`)
    changed = true
  }
  for (const name of names) {
    if (!LEFT_OVER.test(name)) continue
    fs.remove(`${directory}/${name}`)
    changed = true
  }
  return changed
}

/** Segments that lie wholly below the log start offset: their removal may have reached the disk in any order. True where there were some. */
export function dropBelowStart(
  env: Env,
  directory: string,
  bases: readonly number[],
  logStartOffset: number,
): readonly number[] {
  const first = segmentAt(bases, logStartOffset)
  if (first <= 0) return bases
  for (let i = 0; i < first; i++) removeSegment(env, directory, bases[i] as number)
  env.fs.syncDirectory(directory)
  return bases.slice(first)
}

/** Renamed to `.deleted`, as Kafka does; the path of what is left to be removed. Readers that have it open read on. */
export function retireSegment(env: Env, directory: string, baseOffset: number): string {
  const log = segmentPath(directory, baseOffset, 'log')
  env.fs.rename(log, `${log}.deleted`)
  env.passing?.('delete: renamed to .deleted')
  removeIndexes(env, directory, baseOffset)
  return `${log}.deleted`
}

function removeSegment(env: Env, directory: string, baseOffset: number): void {
  env.fs.remove(segmentPath(directory, baseOffset, 'log'))
  removeIndexes(env, directory, baseOffset)
}

/** What stands beside a segment, and the state of its producers at its beginning, which later segments make needless. */
function removeIndexes(env: Env, directory: string, baseOffset: number): void {
  for (const suffix of ['index', 'timeindex', 'txnindex', 'snapshot'] as const) {
    env.fs.remove(segmentPath(directory, baseOffset, suffix))
  }
}

function listPath(directory: string, baseOffset: number): string {
  return `${directory}/${String(baseOffset).padStart(20, '0')}.replaces`
}

async function writeList(
  env: Env,
  directory: string,
  first: number,
  others: readonly number[],
  durable: boolean,
): Promise<void> {
  const path = listPath(directory, first)
  const temporary = `${path}.tmp`
  env.fs.remove(temporary)
  const file = env.fs.open(temporary, 'append')
  try {
    file.write(Buffer.from(sealJson({ bases: others })), 0)
    if (durable) await file.sync()
  } finally {
    file.close()
  }
  env.fs.rename(temporary, path)
}

/** Its content was synced before it got its name, so what does not parse is damage: then nothing is removed, and it is told. */
function readList(env: Env, path: string, onFault?: (fault: MillraceError) => void): readonly number[] {
  try {
    const content = env.fs.readFile(path)
    const list: unknown =
      content[0] === 0x5b ? JSON.parse(Buffer.from(content).toString('utf8')) : unsealJson(path, content).value['bases']
    if (Array.isArray(list) && list.every((base): base is number => Number.isSafeInteger(base))) return list
    throw new Error(`found ${JSON.stringify(list)}, expected a list of offsets`)
  } catch (error) {
    const { message, detail } = toErrorShape(error)
    onFault?.(
      new MillraceError('REPLACES_CORRUPT', `${path} is not believed`, {
        detail: detail === undefined ? message : `${message}; ${detail}`,
        hint: 'nothing is lost by it: segments that compaction has replaced stay, and what is in both is read once',
        cause: error,
      }),
    )
    return []
  }
}
