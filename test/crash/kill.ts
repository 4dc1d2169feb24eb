import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** A program of this folder in a process of its own, with what it has printed so far. */
export class Child {
  readonly lines: string[] = []
  readonly #process: ChildProcess
  readonly #exited: Promise<number | null>
  readonly #waiting: { readonly test: () => boolean; readonly resolve: () => void }[] = []
  #rest = ''
  #errors = ''

  constructor(program: string, args: readonly string[]) {
    const file = fileURLToPath(new URL(program, import.meta.url))
    this.#process = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#process.stdout?.on('data', (chunk: Buffer) => this.#take(chunk.toString('utf8')))
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString('utf8')
    })
    this.#exited = new Promise((resolve) => {
      this.#process.once('close', (code) => {
        resolve(code)
        for (const waiting of this.#waiting.splice(0)) waiting.resolve()
      })
    })
  }

  /** Until the lines so far satisfy the test, or the process has ended. */
  until(test: (lines: readonly string[]) => boolean): Promise<void> {
    if (test(this.lines)) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ test: () => test(this.lines), resolve }))
  }

  /** The process gets no chance to say goodbye. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.#exited
  }

  /** Throws what it printed as errors where it did not end well. */
  async ended(): Promise<void> {
    const code = await this.#exited
    if (code !== 0) throw new Error(`exit code ${code}: ${this.#errors}`)
  }

  #take(text: string): void {
    const parts = (this.#rest + text).split('\n')
    // A line that was not finished when the process died was not said.
    this.#rest = parts.pop() ?? ''
    this.lines.push(...parts)
    for (let i = this.#waiting.length - 1; i >= 0; i--) {
      if (this.#waiting[i]?.test() === true) this.#waiting.splice(i, 1)[0]?.resolve()
    }
  }
}

/** The modes of a test of queries: by the seed one of them, both where MILLRACE_KILLS asks for more. */
export function killedModes(seed: number): readonly string[] {
  const modes = ['microBatch', 'continuous'] as const
  return process.env['MILLRACE_KILLS'] === undefined ? [modes[seed % 2] as string] : modes
}

/** mulberry32: a seed makes the same moments again. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x ^= x + Math.imul(x ^ (x >>> 7), 61 | x)
    return ((x ^ (x >>> 14)) >>> 0) / 4294967296
  }
}
