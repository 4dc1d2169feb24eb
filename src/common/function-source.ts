import { MillraceError } from './errors.js'

/**
 * The text of one generated function. Every generator in the project (column builders, row readers,
 * compiled stages) writes through this class, so that the rule holds in one place: no text of a user
 * ever becomes code. Values and property names go through `constant()`, which yields an identifier;
 * everything else is written by us.
 */
export class FunctionSource {
  readonly #constants: unknown[] = []
  readonly #names = new Map<unknown, string>()
  readonly #lines: (string | Section)[] = []
  #depth = 1
  #fresh = 0

  /** An identifier bound to `value` outside the function body. Equal values share one identifier. */
  constant(value: unknown): string {
    const known = this.#names.get(value)
    if (known !== undefined) return known
    const name = `k${this.#constants.length}`
    this.#constants.push(value)
    this.#names.set(value, name)
    return name
  }

  /** A new local name. `prefix` is ours, never a user's. */
  fresh(prefix: string): string {
    this.#fresh += 1
    return `${prefix}${this.#fresh}`
  }

  line(text: string): this {
    this.#lines.push('  '.repeat(this.#depth) + text)
    return this
  }

  /** `open { … }`: the lines that `body` writes are indented. */
  block(open: string, body: () => void, close = '}'): this {
    this.line(`${open} {`)
    this.#depth += 1
    body()
    this.#depth -= 1
    return this.line(close)
  }

  /**
   * A place for lines that become known later: what the body turns out to need is declared above it.
   */
  section(): Section {
    const section = new Section(this.#depth)
    this.#lines.push(section)
    return section
  }

  /** Source text as `explain('codegen')` shows it. */
  text(name: string, parameters: readonly string[]): string {
    return [
      `function ${name}(${parameters.join(', ')}) {`,
      ...this.#lines.flatMap((l) => (typeof l === 'string' ? [l] : l.lines)),
      '}',
    ].join('\n')
  }

  compile<T>(name: string, parameters: readonly string[]): T {
    if (!codeGenerationAllowed()) {
      throw new MillraceError('CODE_GENERATION_FORBIDDEN', 'code generation is switched off in this process', {
        detail: 'new Function() is refused here',
        hint: 'start node without --disallow-code-generation-from-strings, or use the interpreter',
      })
    }
    const header = this.#constants.map((_, i) => `const k${i} = K[${i}];`).join('\n')
    const make = new Function('K', `'use strict';\n${header}\nreturn ${this.text(name, parameters)}`)
    return make(this.#constants) as T
  }
}

/** See {@link FunctionSource.section}. */
export class Section {
  readonly lines: string[] = []
  readonly #depth: number

  constructor(depth: number) {
    this.#depth = depth
  }

  line(text: string): this {
    this.lines.push('  '.repeat(this.#depth) + text)
    return this
  }
}

let allowed: boolean | undefined

/** False under `--disallow-code-generation-from-strings`; callers then take their interpreted path. */
export function codeGenerationAllowed(): boolean {
  if (allowed === undefined) {
    try {
      allowed = new Function('return true')() === true
    } catch {
      allowed = false
    }
  }
  return allowed
}
