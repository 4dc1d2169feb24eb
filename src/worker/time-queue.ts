/** What is to be done at which time, the earliest first; at one time in the order in which it was put. A heap. */
export class TimeQueue<T> {
  readonly #times: number[] = []
  readonly #turns: number[] = []
  readonly #items: T[] = []
  #turn = 0

  get size(): number {
    return this.#items.length
  }

  /** Infinity where there is nothing. */
  get first(): number {
    return this.#times[0] ?? Number.POSITIVE_INFINITY
  }

  peek(): T | undefined {
    return this.#items[0]
  }

  put(time: number, item: T): void {
    let at = this.#items.length
    this.#set(at, time, this.#turn++, item)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#isBefore(at, parent)) break
      this.#swap(at, parent)
      at = parent
    }
  }

  take(): T | undefined {
    const taken = this.#items[0]
    const last = this.#items.length - 1
    if (last < 0) return undefined
    this.#swap(0, last)
    this.#times.pop()
    this.#turns.pop()
    this.#items.pop()
    for (let at = 0; ; ) {
      const left = 2 * at + 1
      if (left >= last) break
      const least = left + 1 < last && this.#isBefore(left + 1, left) ? left + 1 : left
      if (!this.#isBefore(least, at)) break
      this.#swap(at, least)
      at = least
    }
    return taken
  }

  #isBefore(a: number, b: number): boolean {
    const d = (this.#times[a] as number) - (this.#times[b] as number)
    return d < 0 || (d === 0 && (this.#turns[a] as number) < (this.#turns[b] as number))
  }

  #set(at: number, time: number, turn: number, item: T): void {
    this.#times[at] = time
    this.#turns[at] = turn
    this.#items[at] = item
  }

  #swap(a: number, b: number): void {
    const [time, turn, item] = [this.#times[a] as number, this.#turns[a] as number, this.#items[a] as T]
    this.#set(a, this.#times[b] as number, this.#turns[b] as number, this.#items[b] as T)
    this.#set(b, time, turn, item)
  }
}
