import type { SeededRandom } from './seeded-random.js'

/**
 * One file of a simulated disk, twice: what processes see, and what the disk has. Between them lie the changes that no sync has
 * covered, in order. A loss of power makes something of them that a real disk could have made.
 */
export type Change =
  | { readonly kind: 'write'; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly size: number }

/**
 * What becomes of a file's unsynced changes when the power goes:
 *   nothing   the disk has what was synced
 *   all       everything had just been written
 *   prefix    a number of changes, the next one torn at a sector; then nothing
 *   scatter   each sector was written or not, whatever the order, and the length may have grown before the bytes came
 *   garble    the same, and sectors that were not written may hold anything
 */
export const powerLossModes = ['nothing', 'all', 'prefix', 'scatter', 'garble'] as const
export type PowerLossMode = (typeof powerLossModes)[number]

/** Disks write whole sectors of one of these sizes. */
export const SECTOR_BYTES: readonly number[] = [512, 4096]

/** Bytes that grow at their end without being copied each time. */
class GrowingBytes {
  #room: Uint8Array
  size: number

  constructor(bytes: Uint8Array = new Uint8Array(0)) {
    this.#room = bytes
    this.size = bytes.length
  }

  view(from = 0, to = this.size): Uint8Array {
    return this.#room.subarray(from, to)
  }

  write(source: Uint8Array, position: number): void {
    const end = position + source.length
    if (end > this.size) this.resize(end)
    this.#room.set(source, position)
  }

  /** What is new is zero. */
  resize(size: number): void {
    if (size > this.#room.length) {
      const larger = new Uint8Array(Math.max(size, this.#room.length * 2, 256))
      larger.set(this.view())
      this.#room = larger
    } else if (size < this.size) this.#room.fill(0, size, this.size)
    this.size = size
  }
}

export class SimulatedFile {
  readonly #seen: GrowingBytes
  readonly #durable: GrowingBytes
  #changes: Change[] = []
  /** Changes that are no longer pending, whatever became of them. */
  #settled = 0

  constructor(content: Uint8Array = new Uint8Array(0)) {
    this.#seen = new GrowingBytes(content.slice())
    this.#durable = new GrowingBytes(content.slice())
  }

  get size(): number {
    return this.#seen.size
  }

  /** Bytes that a loss of power could not harm. */
  get durableSize(): number {
    return this.#durable.size
  }

  get unsyncedChanges(): number {
    return this.#changes.length
  }

  content(): Uint8Array {
    return this.#seen.view().slice()
  }

  read(target: Uint8Array, position: number): number {
    const bytes = this.#seen.view(Math.min(position, this.size), Math.min(this.size, position + target.length))
    target.set(bytes)
    return bytes.length
  }

  write(source: Uint8Array, position: number): void {
    this.#seen.write(source, position)
    this.#changes.push({ kind: 'write', position, bytes: source.slice() })
  }

  truncate(size: number): void {
    this.#seen.resize(size)
    this.#changes.push({ kind: 'truncate', size })
  }

  /** A point in the sequence of changes: all that were made before it. */
  mark(): number {
    return this.#settled + this.#changes.length
  }

  /** All changes before the mark are on the disk. */
  makeDurable(mark = this.mark()): void {
    for (const change of this.#settle(mark)) apply(this.#durable, change)
  }

  /**
   * A sync has failed: the system calls all changes before the mark clean, whether the disk has them or not. Processes still see
   * them; no later sync writes them.
   */
  failDurable(mark: number, random: SeededRandom): void {
    const sector = random.pick(SECTOR_BYTES)
    for (const change of this.#settle(mark)) {
      for (const piece of pieces(change, sector)) if (random.chance(0.5)) apply(this.#durable, piece)
    }
  }

  /** The file as the next start of the machine finds it. */
  afterPowerLoss(mode: PowerLossMode, random: SeededRandom): SimulatedFile {
    const left = new GrowingBytes(this.#durable.view().slice())
    const sector = random.pick(SECTOR_BYTES)
    const changes = this.#changes
    if (mode === 'all') for (const change of changes) apply(left, change)
    else if (mode === 'prefix') {
      const whole = random.below(changes.length + 1)
      for (let i = 0; i < whole; i++) apply(left, changes[i] as Change)
      const torn = changes[whole]
      if (torn !== undefined) {
        const parts = pieces(torn, sector)
        for (const piece of parts.slice(0, random.below(parts.length))) apply(left, piece)
      }
    } else if (mode !== 'nothing') this.#scatter(left, mode, sector, random)
    return new SimulatedFile(left.view())
  }

  #settle(mark: number): Change[] {
    const settled = this.#changes.splice(0, Math.max(0, mark - this.#settled))
    this.#settled += settled.length
    return settled
  }

  #scatter(left: GrowingBytes, mode: 'scatter' | 'garble', sector: number, random: SeededRandom): void {
    const kept = random.pick([0.1, 0.5, 0.9])
    const grown: Change[] = []
    for (const change of this.#changes) {
      for (const piece of pieces(change, sector)) {
        if (random.chance(kept)) apply(left, piece)
        else if (piece.kind === 'write') grown.push(piece)
      }
    }
    // The length is written apart from the bytes: where it came first there are zeros, or what another file has left there.
    const isLonger = random.chance(0.5)
    for (const piece of grown) {
      if (piece.kind !== 'write') continue
      const end = piece.position + piece.bytes.length
      if (end > left.size && isLonger) left.resize(end)
      const isThere = end <= left.size
      if (mode === 'garble' && isThere && random.chance(0.5))
        left.write(random.bytes(piece.bytes.length), piece.position)
    }
  }
}

function apply(bytes: GrowingBytes, change: Change): void {
  if (change.kind === 'write') bytes.write(change.bytes, change.position)
  else bytes.resize(change.size)
}

/** A write, sector by sector of the file; bytes of a sector that it does not touch are no part of it. */
function pieces(change: Change, sector: number): Change[] {
  if (change.kind !== 'write') return [change]
  const found: Change[] = []
  const end = change.position + change.bytes.length
  for (let from = change.position; from < end; ) {
    const to = Math.min(end, from - (from % sector) + sector)
    const bytes = change.bytes.subarray(from - change.position, to - change.position)
    found.push({ kind: 'write', position: from, bytes })
    from = to
  }
  return found
}
