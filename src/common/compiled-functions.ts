/**
 * Functions that were generated before, to be used again where text and constants are the same. A function that is made anew begins
 * in V8's interpreter and takes some ten milliseconds of a core to become quick, and the optimizer's threads a
 * hundred; a query that is started again, or on every batch, would pay that each time. Generated functions hold nothing between calls
 * but their constants, and those must be the very same values, so that it cannot be told whether a function was shared.
 */
const VARIANTS_MAX = 4

interface Variant {
  readonly constants: readonly unknown[]
  readonly run: unknown
}

export class CompiledFunctions {
  /** By text, the one used last at the end. */
  readonly #byText = new Map<string, Variant[]>()

  constructor(private readonly textsMax: number) {}

  find(text: string, constants: readonly unknown[]): unknown {
    const variants = this.#byText.get(text)
    const found = variants?.find((variant) => sameValues(variant.constants, constants))
    if (variants === undefined || found === undefined) return undefined
    this.#byText.delete(text)
    this.#byText.set(text, variants)
    return found.run
  }

  keep(text: string, constants: readonly unknown[], run: unknown): void {
    const variants = this.#byText.get(text) ?? []
    if (variants.length === VARIANTS_MAX) variants.shift()
    variants.push({ constants, run })
    this.#byText.set(text, variants)
    if (this.#byText.size <= this.textsMax) return
    for (const oldest of this.#byText.keys()) {
      this.#byText.delete(oldest)
      return
    }
  }
}

function sameValues(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((value, i) => Object.is(value, b[i]))
}
