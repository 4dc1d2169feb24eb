/** So many calls of a function may be under way at a time, whoever makes them; who comes beyond that waits in line. */
export class CallGate {
  #under = 0
  readonly #line: (() => void)[] = []

  constructor(readonly most: number) {}

  /** When it is kept, the call may be made. */
  enter(): Promise<void> | undefined {
    if (this.#under < this.most) {
      this.#under += 1
      return undefined
    }
    return new Promise((resolve) => this.#line.push(resolve))
  }

  /** The place goes to who waits longest. */
  leave(): void {
    const next = this.#line.shift()
    if (next === undefined) this.#under -= 1
    else next()
  }
}
