/**
 * What a worker is doing in the user's code, in shared memory, so that another thread can tell when it does not come back: an endless loop answers nobody. A
 * call is begun and ended by one more in `calls`, which is odd inside; writing it costs a store for each row.
 *
 *   // int32  0  calls: odd while the thread is in a function of the user's
 *   //        1  how long a call may take, milliseconds
 *   //        2  which row of those at hand
 *   //        3  bytes of the text
 *   // bytes 16  …  what is at hand, UTF-8: the run, the step, and where the rows are from, a line each
 */
const TEXT_OFFSET = 16

export class Heartbeat {
  readonly buffer: SharedArrayBuffer
  readonly #ints: Int32Array
  readonly #text: Uint8Array

  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer
    this.#ints = new Int32Array(buffer, 0, TEXT_OFFSET >> 2)
    this.#text = new Uint8Array(buffer, TEXT_OFFSET)
  }

  /** Rows are at hand. */
  begin(run: string, step: string, place: string, timeoutMs: number): void {
    // Encoded apart: encodeInto takes no shared memory.
    const text = new TextEncoder().encode(`${run}\n${step}\n${place}`).subarray(0, this.#text.length)
    this.#text.set(text)
    this.#ints[1] = timeoutMs
    this.#ints[3] = text.length
  }

  /** Before a call for a row. */
  enter(row: number): void {
    const ints = this.#ints
    ints[2] = row
    ints[0] = ((ints[0] as number) + 1) | 1
  }

  leave(): void {
    const ints = this.#ints
    ints[0] = ((ints[0] as number) | 1) + 1
  }

  /** As another thread sees it; undefined where the thread is in no function of the user's. */
  get inside(): { readonly calls: number; readonly timeoutMs: number } | undefined {
    const calls = Atomics.load(this.#ints, 0)
    return (calls & 1) === 0 ? undefined : { calls, timeoutMs: Atomics.load(this.#ints, 1) }
  }

  get atHand(): { readonly run: string; readonly step: string; readonly place: string; readonly row: number } {
    const bytes = this.#text.slice(0, Atomics.load(this.#ints, 3))
    const [run = '', step = '', place = ''] = new TextDecoder().decode(bytes).split('\n')
    return { run, step, place, row: Atomics.load(this.#ints, 2) }
  }
}
