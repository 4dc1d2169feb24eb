import { CONTROL_BYTES } from './partition-control.js'

/** Control blocks come from shared buffers of this size, of which the system backs only the pages that are touched. */
const ARENA_BYTES = CONTROL_BYTES * 204

/** Hands out control blocks; they are never taken back, since any thread may still look at one. */
export class ControlArena {
  #buffer: SharedArrayBuffer | undefined
  #used = 0

  next(): { readonly control: SharedArrayBuffer; readonly controlOffset: number } {
    if (this.#buffer === undefined || this.#used + CONTROL_BYTES > ARENA_BYTES) {
      this.#buffer = new SharedArrayBuffer(ARENA_BYTES)
      this.#used = 0
    }
    const controlOffset = this.#used
    this.#used += CONTROL_BYTES
    return { control: this.#buffer, controlOffset }
  }
}
