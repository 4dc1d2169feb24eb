import { present } from '../common/assert.js'
import { loadCommonJs } from '../common/commonjs.js'
import { MillraceError } from '../common/errors.js'
import { helperNames } from '../worker/user-function.js'

/**
 * Functions that travel to the workers as their text. That is possible where a function refers to nothing outside itself but what every thread has; whether it
 * does is found by parsing it (acorn) and resolving its names (eslint-scope). What it takes from outside would be missing there, or be another thing of
 * the same name, and this is said when the query is written and not when it runs.
 */

/** What a worker has as the host does: ECMAScript's own, and Node's. */
const ecmascript =
  'AggregateError Array ArrayBuffer Atomics BigInt BigInt64Array BigUint64Array Boolean DataView Date Error EvalError FinalizationRegistry Float16Array Float32Array Float64Array Function Infinity Int16Array Int32Array Int8Array Intl Iterator JSON Map Math NaN Number Object Promise Proxy RangeError ReferenceError Reflect RegExp Set SharedArrayBuffer String Symbol SyntaxError TypeError URIError Uint16Array Uint32Array Uint8Array Uint8ClampedArray WeakMap WeakRef WeakSet WebAssembly decodeURI decodeURIComponent encodeURI encodeURIComponent escape globalThis isFinite isNaN parseFloat parseInt undefined unescape'
const node =
  'AbortController AbortSignal Blob Buffer BroadcastChannel CompressionStream Crypto CryptoKey CustomEvent DOMException DecompressionStream Event EventTarget File FormData Headers MessageChannel MessageEvent MessagePort Navigator Performance ReadableStream Request Response SubtleCrypto TextDecoder TextDecoderStream TextEncoder TextEncoderStream TransformStream URL URLSearchParams WebSocket WritableStream atob btoa clearImmediate clearInterval clearTimeout console crypto fetch global navigator performance process queueMicrotask setImmediate setInterval setTimeout structuredClone'
const known = new Set([...ecmascript.split(' '), ...node.split(' '), ...helperNames, 'arguments'])

type Acorn = typeof import('acorn')
type EslintScope = typeof import('eslint-scope')

export interface InlineFunction {
  /** An expression whose value is the function. */
  readonly text: string
  readonly name: string
}

/** Throws where the function cannot be sent, and says why. `method`: what it is given to. */
export function inlineFunction(fn: (...given: never[]) => unknown, method: string): InlineFunction {
  const own = Function.prototype.toString.call(fn)
  const name = fn.name === '' || fn.name === method ? 'inline' : fn.name
  const text = expressionOf(own)
  if (text === undefined) throw notInline(method, own)
  const [free] = freeNames(text)
  if (free === undefined) return { text, name }
  throw new MillraceError('USER_CODE_NOT_SELF_CONTAINED', `\`${free.name}\` is not defined inside the function`, {
    detail: `${method}() runs it on the workers, where there is no \`${free.name}\`; it is used in line ${free.line} of the function`,
    hint: `define \`${free.name}\` inside the function (import it there by await import('…')), or export the function from a module: ${method}(fromModule(import.meta.url, '${name === 'inline' ? 'enrich' : name}'))`,
  })
}

function notInline(method: string, own: string): MillraceError {
  const what = /\{\s*\[native code\]\s*\}$/.test(own)
    ? 'a function of the engine itself or one made by bind(), of which there is no text'
    : own.startsWith('class')
      ? 'a class'
      : 'a function whose text is none by itself'
  return new MillraceError('USER_CODE_NOT_SELF_CONTAINED', `${method}() cannot send this function to the workers`, {
    detail: `found ${what}`,
    hint: `write it as an arrow function, or export it from a module: ${method}(fromModule(import.meta.url, 'enrich'))`,
  })
}

/** The text as an expression; a method's (`enrich(row) { … }`) is one inside an object alone. */
function expressionOf(own: string): string | undefined {
  if (own.startsWith('class')) return undefined
  if (parses(own) === 'function') return own
  for (const object of [`({ ${own} })`, `({ async ${own} })`]) {
    if (parses(object) === 'object') return `Object.values(${object})[0]`
  }
  return undefined
}

function parses(text: string): 'function' | 'object' | undefined {
  try {
    const { type } = acorn().parseExpressionAt(`(${text}\n)`, 0, options)
    if (type === 'FunctionExpression' || type === 'ArrowFunctionExpression') return 'function'
    return type === 'ObjectExpression' ? 'object' : undefined
  } catch {
    return undefined
  }
}

const options = { ecmaVersion: 'latest', sourceType: 'module', ranges: true, locations: true } as const

const acorn = (): Acorn => loadCommonJs('acorn') as Acorn

interface FreeName {
  readonly name: string
  readonly line: number
}

/** Names that are not defined inside the text, and are not those of every thread; `this` of an arrow function among them. */
function freeNames(text: string): readonly FreeName[] {
  const tree = acorn().parse(`(${text}\n)`, options)
  const { analyze } = loadCommonJs('eslint-scope') as EslintScope
  const { globalScope } = analyze(tree as never, { ecmaVersion: 2022, sourceType: 'module' })
  const found: FreeName[] = []
  for (const { identifier } of globalScope?.through ?? []) {
    const { name, range, loc } = identifier
    if (known.has(name)) continue
    found.push({
      name: asWritten(name, text, present(range, 'the range of a name')[1] - 1),
      line: loc?.start.line ?? 1,
    })
  }
  return found.length > 0 ? found : outerThis(tree)
}

/** Compilers call what was imported by the module's name: `__vi_import_0__.rates`, `rates_js_1.rates`. */
function asWritten(name: string, text: string, end: number): string {
  if (!/^__vi|_\d+(__)?$/.test(name)) return name
  return /^\.([\p{ID_Start}$_][\p{ID_Continue}$]*)/u.exec(text.slice(end))?.[1] ?? name
}

/** `this`, `super` and `new.target` outside of every function that has its own. */
function outerThis(tree: unknown): readonly FreeName[] {
  const visit = (node: unknown): FreeName | undefined => {
    if (Array.isArray(node)) return node.map(visit).find((one) => one !== undefined)
    if (typeof node !== 'object' || node === null) return undefined
    const { type, loc } = node as { type?: unknown; loc?: { start: { line: number } } }
    if (typeof type !== 'string') return undefined
    if (type === 'ThisExpression') return { name: 'this', line: loc?.start.line ?? 1 }
    if (type === 'FunctionExpression' || type === 'FunctionDeclaration' || type.startsWith('Class')) return undefined
    return Object.values(node)
      .map(visit)
      .find((one) => one !== undefined)
  }
  const found = visit(tree)
  return found === undefined ? [] : [found]
}
