/**
 * What a log must hold, kept outside of it: every record that was ever given to it, in the order of its partition, how much of that was
 * acknowledged, and when. It knows nothing of files. After a crash it says what may be missing, and takes what is there as the new truth.
 */
export interface Observation {
  readonly at: number
  readonly acked: number
}

/** What may be gone after the end of a life, from the end of a partition. */
export type Floor =
  /** Everything that was acknowledged is there. */
  | { readonly kind: 'acked' }
  /** Everything that was acknowledged `windowMs` before the end, and what was ever known to be synced. */
  | { readonly kind: 'window'; readonly at: number; readonly windowMs: number }
  /** What was ever known to be synced. */
  | { readonly kind: 'synced' }
  /** Everything that was appended. */
  | { readonly kind: 'all' }

export class ExpectedPartition {
  /** By offset. */
  readonly values: string[] = []
  acked = 0
  synced = 0
  /** A write or sync of it failed in this life: it takes nothing more. */
  failed = false
  #observations: Observation[] = []

  constructor(readonly name: string) {}

  append(baseOffset: number, values: readonly string[]): void {
    if (baseOffset !== this.values.length) {
      throw new Violation(`${this.name}: an append was given offset ${baseOffset}, expected ${this.values.length}`)
    }
    this.values.push(...values)
  }

  /** What the log says now. */
  observe(at: number, acked: number, synced: number): void {
    if (acked < this.acked) throw new Violation(`${this.name}: acknowledged up to ${this.acked}, now up to ${acked}`)
    if (acked > this.values.length) {
      throw new Violation(`${this.name}: ${acked} acknowledged, ${this.values.length} appended`)
    }
    if (acked > this.acked) this.#observations.push({ at, acked })
    this.acked = acked
    this.noteSynced(synced)
  }

  noteSynced(synced: number): void {
    this.synced = Math.max(this.synced, synced)
  }

  floor(floor: Floor): number {
    if (floor.kind === 'all') return this.values.length
    if (floor.kind === 'acked') return Math.max(this.acked, this.synced)
    let least = this.synced
    // A sync that failed has kept nothing of what `interval` would have had it keep: the partition says so, and takes no more.
    if (floor.kind === 'window' && !this.failed) {
      for (const { at, acked } of this.#observations) {
        if (at <= floor.at - floor.windowMs) least = Math.max(least, acked)
      }
    }
    return least
  }

  /** The log has been opened again: what it holds must begin like what was given to it, and reach the floor. */
  reopened(values: readonly string[], floor: Floor): { readonly lost: number } {
    const least = this.floor(floor)
    for (let offset = 0; offset < values.length; offset++) {
      if (offset >= this.values.length) {
        throw new Violation(`${this.name}: offset ${offset} holds ${short(values[offset])}, nothing was appended there`)
      }
      if (values[offset] !== this.values[offset]) {
        const expected = short(this.values[offset])
        throw new Violation(`${this.name}: offset ${offset} holds ${short(values[offset])}, expected ${expected}`)
      }
    }
    if (values.length < least) {
      throw new Violation(`${this.name}: ${values.length} records are left, ${least} were promised (${floor.kind})`)
    }
    const lost = this.values.length - values.length
    this.values.length = values.length
    this.acked = values.length
    this.synced = values.length
    this.failed = false
    this.#observations = []
    return { lost }
  }
}

export class Violation extends Error {
  override readonly name = 'Violation'
}

const short = (value: string | undefined): string => JSON.stringify(value?.slice(0, 24))
