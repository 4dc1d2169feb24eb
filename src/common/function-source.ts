import { CompiledFunctions } from './compiled-functions.js'
import { MillraceError } from './errors.js'

/** Functions that this thread keeps for the next time. */
const TEXTS_MAX = 256
/** Of those that have an owner. */
const OWNED_TEXTS_MAX = 8

const compiled = new CompiledFunctions(TEXTS_MAX)
const owned = new WeakMap<object, CompiledFunctions>()

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

  /**
   * The function; one that was made of the same text and constants before is used again. With an owner it is kept for as long as that is
   * there and no longer: an owner is given where the constants are large.
   */
  compile<T>(name: string, parameters: readonly string[], owner?: object): T {
    if (!codeGenerationAllowed()) {
      throw new MillraceError('CODE_GENERATION_FORBIDDEN', 'code generation is switched off in this process', {
        detail: 'new Function() is refused here',
        hint: 'start node without --disallow-code-generation-from-strings, or use the interpreter',
      })
    }
    const kept = owner === undefined ? compiled : functionsOf(owner)
    const text = this.text(name, parameters)
    const known = kept.find(text, this.#constants)
    if (known !== undefined) return known as T
    const header = this.#constants.map((_, i) => `const k${i} = K[${i}];`).join('\n')
    const run = new Function('K', `'use strict';\n${header}\nreturn ${text}`)(this.#constants) as T
    kept.keep(text, this.#constants, run)
    return run
  }
}

function functionsOf(owner: object): CompiledFunctions {
  const known = owned.get(owner)
  if (known !== undefined) return known
  const functions = new CompiledFunctions(OWNED_TEXTS_MAX)
  owned.set(owner, functions)
  return functions
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
