import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { nodeEnv } from '../common/env.js'

/**
 * Hooks by which Node loads TypeScript: module-import.ts registers them, Node runs them on a thread of its own. `./other.js` is looked for as `other.ts`
 * as well, since that is how TypeScript modules name each other.
 */
interface Loaded {
  readonly format: 'module' | 'commonjs'
  readonly shortCircuit: true
  readonly source: string
}

interface Esbuild {
  transformSync(text: string, options: object): { readonly code: string }
}

interface TypeScript {
  transpileModule(text: string, options: object): { readonly outputText: string }
}

let strip: ((text: string, file: string) => string) | undefined

export function initialize({ name, file }: { readonly name: string; readonly file: string }): void {
  const compiler: unknown = createRequire(file)(file)
  strip =
    name === 'esbuild'
      ? (text, path) => {
          const options = {
            loader: path.endsWith('x') ? 'tsx' : 'ts',
            format: 'esm',
            target: 'es2022',
            sourcefile: path,
          }
          return (compiler as Esbuild).transformSync(text, options).code
        }
      : (text, path) => {
          const compilerOptions = { module: 99, target: 9, inlineSourceMap: true, jsx: 2 }
          return (compiler as TypeScript).transpileModule(text, { compilerOptions, fileName: path }).outputText
        }
}

const typescript = /\.[cm]?tsx?$/

type Resolve = (specifier: string, context: object) => Promise<{ url: string }>

export async function resolve(
  specifier: string,
  context: { parentURL?: string },
  next: Resolve,
): Promise<{ url: string }> {
  if (!/^(\.|file:)/.test(specifier) || context.parentURL === undefined) return await next(specifier, context)
  const url = new URL(specifier, context.parentURL)
  if (url.protocol === 'file:' && !nodeEnv.fs.exists(fileURLToPath(url))) {
    const candidates = [url.href.replace(/\.([cm]?)js(x?)$/, '.$1ts$2'), `${url.href}.ts`]
    const found = candidates.find((href) => typescript.test(href) && nodeEnv.fs.exists(fileURLToPath(href)))
    if (found !== undefined) return await next(found, context)
  }
  return await next(specifier, context)
}

export async function load(
  url: string,
  context: object,
  next: (url: string, context: object) => Promise<unknown>,
): Promise<unknown> {
  if (strip === undefined || !url.startsWith('file:') || !typescript.test(url)) return await next(url, context)
  const path = fileURLToPath(url)
  const loaded: Loaded = {
    format: 'module',
    shortCircuit: true,
    source: strip(new TextDecoder().decode(nodeEnv.fs.readFile(path)), path),
  }
  return loaded
}
