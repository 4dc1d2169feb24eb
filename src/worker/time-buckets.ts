/** Entries whose time is looked at together. */
const BUCKET_MS = 100

/** The bucket of an entry that stands in none. */
const NOWHERE = Number.POSITIVE_INFINITY

/**
 * Entries by when they may be due, for times that mostly grow: an entry whose time moves on is found where it stood before, and put where
 * it belongs only then.
 */
export class TimeBuckets {
  readonly #buckets = new Map<number, number[]>()
  /** Keys of the buckets in their order. */
  readonly #keys: number[] = []
  /** In which bucket an entry stands; one that stood in another is not there any more, whatever that one says. */
  readonly #bucketOf: number[] = []

  /** The entry is due at `time`. One that is put again keeps its place if that comes earlier. */
  put(entry: number, time: number): void {
    const key = Math.floor(time / BUCKET_MS)
    const known = this.#bucketOf[entry]
    if (known === undefined || known > key) this.#add(entry, key)
  }

  /** Everything that may be due by `time`; `dueAt` says when an entry is due, where it is not yet, undefined to let go of it. */
  take(time: number, dueAt: (entry: number) => number | undefined): void {
    const last = Math.floor(time / BUCKET_MS)
    let count = 0
    while (count < this.#keys.length && (this.#keys[count] as number) <= last) count++
    for (const key of this.#keys.splice(0, count)) {
      const entries = this.#buckets.get(key) as number[]
      this.#buckets.delete(key)
      for (const entry of entries) {
        if (this.#bucketOf[entry] !== key) continue
        this.#bucketOf[entry] = NOWHERE
        const due = dueAt(entry)
        if (due !== undefined) this.#add(entry, Math.floor(due / BUCKET_MS))
      }
    }
  }

  #add(entry: number, key: number): void {
    this.#bucketOf[entry] = key
    const bucket = this.#buckets.get(key)
    if (bucket !== undefined) {
      bucket.push(entry)
      return
    }
    this.#buckets.set(key, [entry])
    let at = this.#keys.length
    while (at > 0 && (this.#keys[at - 1] as number) > key) at--
    this.#keys.splice(at, 0, key)
  }
}
